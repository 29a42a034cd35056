/** Starting a run again: all of it, what went wrong, or from a step on, with other variables if wanted. */
import { Button, Checkbox, Group, Loader, Modal, Radio, Stack } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api, asProblem, listVariablesOptions, type RunView, type StepView } from '@/api';
import { FormProblem } from '@/ui/form';
import { ErrorPanel } from '@/ui/panels';
import { VariablesEditor } from '@/ui/variables/editor';
import { changedValues, UNTOUCHED } from '@/ui/variables/values';
import { errorsOf } from '../pipeline/start-form';
import { isFailure } from './order';
import classes from './rerun.module.css';

export type RerunFrom = 'all' | 'failed' | 'step';

interface RerunProps {
  run: RunView;
  step: StepView | undefined;
  from: RerunFrom;
  onClose: () => void;
}

export function Rerun({ run, step, from: wanted, onClose }: RerunProps) {
  const failures = run.steps.filter((each) => isFailure(each) || each.outcome === 'cancelled');
  const [from, setFrom] = useState<RerunFrom>(wanted);
  const found = useQuery({
    ...listVariablesOptions({ path: { run: run.id }, query: { step: step?.key, before: true } }),
    enabled: from === 'step' && Boolean(step?.input_commit),
  });
  // A step finds what those before it have set; the run as a whole begins with what it was given.
  const before = from === 'step' && step?.input_commit ? found.data : run.variables;
  return (
    <Modal opened onClose={onClose} title={`Run ${run.pipeline} again`} size="lg">
      <Stack gap="md">
        <Radio.Group value={from} onChange={(value) => setFrom(value as RerunFrom)} aria-label="What to run again">
          <Stack gap={8}>
            <Radio value="all" label="All of it" />
            <Radio
              value="failed"
              disabled={failures.length === 0}
              label="Only what went wrong, and what follows"
              description={failures.map(({ key }) => key).join(', ')}
            />
            <Radio
              value="step"
              disabled={!step}
              label={step ? `From ${step.key} on` : 'From a step on'}
              description={
                step ? 'Results of the steps before it are taken over.' : 'Choose a step in the graph first.'
              }
            />
          </Stack>
        </Radio.Group>
        {found.isError && from === 'step' && <ErrorPanel error={found.error} />}
        {before ? (
          <Form key={from} run={run} step={step} from={from} before={before} onClose={onClose} />
        ) : (
          !found.isError && <Loader size="sm" aria-label="Loading variables" />
        )}
      </Stack>
    </Modal>
  );
}

function Form({ run, step, from, before, onClose }: RerunProps & { before: Record<string, string> }) {
  const navigate = useNavigate();
  const [edited, setEdited] = useState(UNTOUCHED);
  const [fresh, setFresh] = useState(false);
  const given = Object.fromEntries(Object.entries(before).toSorted(([a], [b]) => a.localeCompare(b)));
  const variables = changedValues(given, edited);
  const count = Object.keys(variables).length;
  const rerun = useMutation({
    mutationFn: () =>
      api.rerun({
        path: { run: run.id },
        body: {
          variables,
          fresh,
          failed: from === 'failed',
          from_steps: from === 'step' && step ? [step.key] : [],
        },
      }),
    onSuccess: async ({ data }) => {
      onClose();
      await navigate({
        to: '/projects/$project/runs/$number',
        params: { project: data.project, number: String(data.number) },
      });
    },
    onError: () => {}, // shown below
  });
  const problem = rerun.isError ? asProblem(rerun.error).problem : undefined;
  const errors = errorsOf(problem).variables;
  return (
    <form
      className={classes.form}
      onSubmit={(event) => {
        event.preventDefault();
        rerun.mutate();
      }}
    >
      <VariablesEditor given={given} edited={edited} errors={errors} onChange={setEdited} />
      <Checkbox
        label="Take nothing from the step cache"
        checked={fresh}
        onChange={(event) => setFresh(event.currentTarget.checked)}
      />
      <FormProblem problem={Object.keys(errors).length > 0 ? undefined : problem} />
      <Group justify="flex-end" gap="xs">
        <Button variant="default" onClick={onClose}>
          Close
        </Button>
        <Button type="submit" loading={rerun.isPending}>
          {count === 0 ? 'Run again' : `Run again with ${count} changed`}
        </Button>
      </Group>
    </form>
  );
}
