/** The other run to compare with: the latest ones of the same pipeline, or any by its number. */
import { Button, Group, Modal, NumberInput, Stack } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { listRunsOptions, type RunView } from '@/api';
import { Empty, Loaded } from '@/ui/panels';
import { Branch, CommitId } from '@/ui/small';
import { lookOfRun, StateIcon } from '@/ui/states';
import { Ago, Duration } from '@/ui/time';
import classes from './picker.module.css';

interface PickerProps {
  run: Pick<RunView, 'project' | 'pipeline' | 'number'>;
  onClose: () => void;
}

export function Picker({ run, onClose }: PickerProps) {
  const { project, pipeline } = run;
  const runs = useQuery(listRunsOptions({ query: { project, pipeline, limit: 30 } }));
  return (
    <Modal opened onClose={onClose} title={`Compare #${run.number} with`} size="lg">
      <Stack gap="sm">
        <Loaded query={runs}>
          {({ items }) => {
            const others = items.filter(({ number }) => number !== run.number);
            if (others.length === 0) return <Empty title="There is no other run of this pipeline" />;
            return (
              <ul className={classes.runs}>
                {others.map((other) => (
                  <li key={other.id}>
                    <Link
                      to="/projects/$project/runs/$number/compare/$other"
                      params={{ project, number: String(run.number), other: String(other.number) }}
                      onClick={onClose}
                    >
                      <StateIcon look={lookOfRun(other.state)} />
                      <b>#{other.number}</b>
                      <Branch name={other.branch} />
                      <CommitId commit={other.commit} />
                      <span className={classes.times}>
                        <Duration from={other.created_at} to={other.finished_at} />
                        <Ago at={other.created_at} />
                      </span>
                    </Link>
                  </li>
                ))}
              </ul>
            );
          }}
        </Loaded>
        <ByNumber run={run} onClose={onClose} />
      </Stack>
    </Modal>
  );
}

function ByNumber({ run, onClose }: PickerProps) {
  const navigate = useNavigate();
  const [number, setNumber] = useState<number | string>('');
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        onClose();
        void navigate({
          to: '/projects/$project/runs/$number/compare/$other',
          params: { project: run.project, number: String(run.number), other: String(number) },
        });
      }}
    >
      <Group gap="xs">
        <NumberInput
          size="xs"
          aria-label="Number of a run"
          placeholder="Number of a run"
          min={1}
          allowDecimal={false}
          allowNegative={false}
          hideControls
          value={number}
          onChange={setNumber}
        />
        <Button type="submit" variant="default" disabled={number === '' || number === run.number}>
          Compare
        </Button>
      </Group>
    </form>
  );
}
