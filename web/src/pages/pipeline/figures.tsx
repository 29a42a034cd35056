/** How a pipeline has done lately, in a line of figures; and why steps of it went wrong. */
import type { PipelineFigures, ReasonCount } from '@/api';
import { colourOf, StateIcon } from '@/ui/states';
import { duration } from '@/ui/time';
import classes from './history.module.css';

export function Figures({ figures }: { figures: PipelineFigures }) {
  const { states } = figures;
  const counted = figures.runs.length - (states.cancelled ?? 0);
  return (
    <dl className={classes.figures}>
      <Figure name="Success" value={figures.success_rate === null ? '–' : `${Math.floor(figures.success_rate * 100)}%`}>
        {counted > 0 && `${states.succeeded ?? 0} of ${counted} runs`}
      </Figure>
      <Figure name="Median" value={figures.median_seconds === null ? '–' : duration(figures.median_seconds)}>
        of those that succeeded
      </Figure>
      <Figure name="Nine of ten within" value={figures.p90_seconds === null ? '–' : duration(figures.p90_seconds)} />
      <Figure
        name="Failed: yours"
        value={String(states.failed ?? 0)}
        colour={states.failed ? colourOf('failed') : undefined}
      >
        steps that say no
      </Figure>
      <Figure
        name="Errored: ours"
        value={String(states.errored ?? 0)}
        colour={states.errored ? colourOf('errored') : undefined}
      >
        machines, images, engine
      </Figure>
    </dl>
  );
}

interface FigureProps {
  name: string;
  value: string;
  colour?: string;
  children?: React.ReactNode;
}

function Figure({ name, value, colour, children }: FigureProps) {
  return (
    <div className={classes.figure}>
      <dt>{name}</dt>
      <dd className="numbers" style={{ color: colour }}>
        {value}
      </dd>
      {children && <dd className={classes.note}>{children}</dd>}
    </div>
  );
}

export function Reasons({ reasons }: { reasons: ReasonCount[] }) {
  if (reasons.length === 0) return <p className={classes.none}>No step went wrong in these runs.</p>;
  const most = Math.max(...reasons.map((each) => each.count));
  return (
    <ul className={classes.reasons}>
      {reasons.map((each) => {
        const look = each.outcome === 'errored' ? 'errored' : 'failed';
        return (
          <li key={`${each.outcome} ${each.reason}`}>
            <StateIcon look={look} size={15} />
            <span>{WORDS[each.reason ?? ''] ?? (each.reason ?? 'no reason').replaceAll('_', ' ')}</span>
            <span className={classes.bar} aria-hidden>
              <span style={{ width: `${(100 * each.count) / most}%`, background: colourOf(look) }} />
            </span>
            <span className="numbers">{each.count}</span>
          </li>
        );
      })}
    </ul>
  );
}

const WORDS: Record<string, string> = {
  exit_code: 'exit code',
  oom: 'out of memory',
  timeout: 'took too long',
  merge_conflict: 'changes in conflict',
  refused: 'compose file refused',
  infra_lost: 'machine lost',
  image_unavailable: 'no image',
};
