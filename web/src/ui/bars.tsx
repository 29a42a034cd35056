/** The latest runs of a pipeline as bars: height is duration, colour is outcome. */
import { Link } from '@tanstack/react-router';
import { memo } from 'react';
import type { RunSummary } from '@/api';
import classes from './bars.module.css';
import { colourOf, lookOfRun, wordOf } from './states';
import { duration, relativeTime, useNow } from './time';

const LEAST = 14; // percent of the height, so that short runs can be seen and clicked

export const RunBars = memo(function RunBars({ runs, places = 30 }: { runs: RunSummary[]; places?: number }) {
  const now = useNow(runs.some((run) => run.finished_at === null) ? 1000 : 60_000);
  const shown = runs.slice(0, places).reverse(); // the newest is the last one
  const seconds = shown.map((run) => (run.finished_at ?? now) - run.created_at);
  const most = Math.max(...seconds, 1);
  return (
    <ol className={classes.bars} style={{ '--places': places }} aria-label="Latest runs, the oldest first">
      {Array.from({ length: places - shown.length }, (_, place) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: places without a run are all the same
        <li key={`none-${place}`} className={classes.none} aria-hidden />
      ))}
      {shown.map((run, place) => {
        const look = lookOfRun(run.state);
        const title = `#${run.number} ${wordOf(look)} after ${duration(seconds[place] ?? 0)}, ${relativeTime(run.created_at, now)}`;
        return (
          <li key={run.id}>
            <Link
              to="/projects/$project/runs/$number"
              params={{ project: run.project, number: String(run.number) }}
              className={classes.bar}
              data-look={look}
              title={title}
              aria-label={title}
              style={{
                height: `${Math.max(LEAST, (100 * (seconds[place] ?? 0)) / most)}%`,
                background: colourOf(look),
              }}
            />
          </li>
        );
      })}
    </ol>
  );
});
