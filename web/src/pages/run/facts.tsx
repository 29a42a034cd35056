/** Where a run comes from: one line under its name. */
import { Badge, Popover, UnstyledButton } from '@mantine/core';
import { IconBraces } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import type { RunView } from '@/api';
import { Branch, CommitId, Trigger } from '@/ui/small';
import { Ago, Duration } from '@/ui/time';
import classes from './facts.module.css';
import { ValueTable } from './overview';

export function Facts({ run }: { run: RunView }) {
  return (
    <div className={classes.facts}>
      {run.branch && <Branch name={run.branch} tag={run.event === 'tag'} />}
      {run.commit && <CommitId commit={run.commit} />}
      <Trigger run={{ event: run.event, actor: run.actor ?? '' }} />
      <span className="faint">
        <Ago at={run.created_at} />
      </span>
      <span title={run.finished_at === null ? 'Since it began' : 'From its beginning to its end'}>
        <Duration from={run.created_at} to={run.finished_at} />
      </span>
      {run.rerun_of !== null && (
        <span className="faint">
          again from{' '}
          <Link to="/projects/$project/runs/$number" params={{ project: run.project, number: String(run.rerun_of) }}>
            #{run.rerun_of}
          </Link>
        </span>
      )}
      {run.trust && run.trust !== 'trusted' && (
        <Badge color="orange" title="Its source is not trusted: it gets no secrets">
          {run.trust}
        </Badge>
      )}
      {run.dirty && <Badge color="gray">with changes that are not committed</Badge>}
      <Given run={run} />
    </div>
  );
}

/** What the run was given: inputs, variables, and what the trigger said. */
function Given({ run }: { run: RunView }) {
  const parts: [title: string, values: [string, unknown][]][] = [
    ['Inputs', Object.entries(run.inputs)],
    ['Variables', Object.entries(run.variables)],
    ['Why it began', Object.entries(run.cause ?? {})],
  ];
  const count = parts.reduce((sum, [, values]) => sum + values.length, 0);
  if (count === 0) return null;
  return (
    <Popover position="bottom-start" width={420} shadow="md" trapFocus>
      <Popover.Target>
        <UnstyledButton className={classes.given}>
          <IconBraces size={14} aria-hidden /> {count} given
        </UnstyledButton>
      </Popover.Target>
      <Popover.Dropdown className={classes.values} aria-label="What the run was given" tabIndex={0}>
        {parts.map(
          ([title, values]) =>
            values.length > 0 && (
              <section key={title}>
                <h3>{title}</h3>
                <ValueTable values={values} />
              </section>
            ),
        )}
      </Popover.Dropdown>
    </Popover>
  );
}
