/** The phases of an attempt as parts of one bar, and in figures. */
import type { AttemptView } from '@/api';
import classes from './details.module.css';
import { MEANING, phasesOf, short } from './phases';

export function PhaseBar({ attempt }: { attempt: AttemptView }) {
  const phases = phasesOf(attempt);
  return (
    <>
      {phases.length > 0 && (
        <div className={classes.phases} aria-hidden>
          {phases.map(({ name, seconds, share }) => (
            <span key={name} data-phase={name} style={{ flexGrow: share }} title={`${name}: ${short(seconds)}`} />
          ))}
        </div>
      )}
      <dl className={classes.legend}>
        {phases.map(({ name, seconds }) => (
          <div key={name} title={MEANING[name]}>
            <dt>
              <span className={classes.swatch} data-phase={name} aria-hidden />
              {name}
            </dt>
            <dd className="numbers">{short(seconds)}</dd>
          </div>
        ))}
        {attempt.phase && (
          <div>
            <dt>
              <span className={classes.swatch} data-phase={attempt.phase} data-now aria-hidden />
              {attempt.phase}
            </dt>
            <dd>now</dd>
          </div>
        )}
      </dl>
    </>
  );
}
