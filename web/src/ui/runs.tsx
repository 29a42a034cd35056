/** Runs as lines, the newest first. */
import { Button } from '@mantine/core';
import { useIntersection } from '@mantine/hooks';
import { IconRefresh } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { memo, type ReactNode, useEffect } from 'react';
import type { RunSummary } from '@/api';
import type { useRunList } from '@/api/run-list';
import { Loaded } from './panels';
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

/** Pages of runs that grow as one scrolls. `none`: what is said when there is no run. */
export function RunList({
  query,
  of = 'all',
  none,
}: {
  query: ReturnType<typeof useRunList>;
  of?: Shared;
  none: ReactNode;
}) {
  return (
    <Loaded query={query} rows={10}>
      {({ pages }) => {
        const runs = pages.flatMap((page) => page.items);
        if (runs.length === 0) return none;
        return (
          <>
            <ul className={classes.list}>
              {runs.map((run) => (
                <RunRow key={run.id} run={run} of={of} />
              ))}
            </ul>
            {query.hasNextPage && <More loading={query.isFetchingNextPage} load={() => void query.fetchNextPage()} />}
          </>
        );
      }}
    </Loaded>
  );
}

function More({ loading, load }: { loading: boolean; load: () => void }) {
  const { ref, entry } = useIntersection({ rootMargin: '600px' });
  const seen = entry?.isIntersecting ?? false;
  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each time that the end comes into sight
  useEffect(() => {
    if (seen && !loading) load();
  }, [seen, loading]);
  return (
    <div ref={ref} className={classes.more}>
      <Button variant="default" loading={loading} onClick={load}>
        Older runs
      </Button>
    </div>
  );
}
