/** Runs as lines, the newest first. */
import { IconRefresh } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { memo, type ReactNode } from 'react';
import type { RunSummary } from '@/api';
import type { useRunList } from '@/api/run-list';
import { Pages } from './pages';
import classes from './runs.module.css';
import { Branch, CommitId, Trigger } from './small';
import { lookOfRun, StateIcon, wordOf } from './states';
import { Ago, Duration } from './time';

/** `of`: what all of them share, and is not said again. */
type Shared = 'all' | 'project' | 'pipeline';

const RunRow = memo(function RunRow({ run, of = 'all' }: { run: RunSummary; of?: Shared }) {
  const look = lookOfRun(run.state);
  return (
    <li className={classes.row} data-of={of}>
      <Link
        to="/projects/$project/runs/$number"
        params={{ project: run.project, number: String(run.number) }}
        className={classes.run}
      >
        <StateIcon look={look} size={17} />
        <span className={`${classes.number} numbers`}>#{run.number}</span>
        {of === 'pipeline' ? (
          <span className={classes.name}>{wordOf(look)}</span>
        ) : (
          <span className={classes.name}>
            {of === 'all' && <span className="faint">{run.project} / </span>}
            {run.pipeline}
          </span>
        )}
      </Link>
      <span className={classes.source}>
        {run.branch && <Branch name={run.branch} tag={run.event === 'tag'} />}
        {run.commit && <CommitId commit={run.commit} />}
      </span>
      <span className={classes.trigger}>
        <Trigger run={run} />
        {run.rerun_of && (
          <span className={classes.rerun} title="It took over what stood before some steps of another run">
            <IconRefresh size={13} aria-hidden /> rerun
          </span>
        )}
      </span>
      <span className={classes.time}>
        <Duration from={run.created_at} to={run.finished_at} />
      </span>
      <span className={`${classes.time} faint`}>
        <Ago at={run.created_at} />
      </span>
    </li>
  );
});

interface RunListProps {
  query: ReturnType<typeof useRunList>;
  of?: Shared;
  /** What is said when there is no run. */
  none: ReactNode;
}

export function RunList({ query, of = 'all', none }: RunListProps) {
  return (
    <Pages query={query} more="Older runs">
      {(runs) =>
        runs.length === 0 ? (
          none
        ) : (
          <ul className={classes.list}>
            {runs.map((run) => (
              <RunRow key={run.id} run={run} of={of} />
            ))}
          </ul>
        )
      }
    </Pages>
  );
}
