/** The phases of an attempt as parts of one bar, and in figures. */
import type { AttemptView } from '@/api';
import { duration, useNow } from '@/ui/time';
import classes from './details.module.css';
import { MEANING, type Phase, phasesOf, short } from './phases';

export function PhaseBar({ attempt }: { attempt: AttemptView }) {
  return attempt.phase ? <LivePhases attempt={attempt} /> : <Phases phases={phasesOf(attempt)} />;
}

function LivePhases({ attempt }: { attempt: AttemptView }) {
  return <Phases phases={phasesOf(attempt, useNow())} current={attempt.phase} />;
}

function Phases({ phases, current }: { phases: Phase[]; current?: string }) {
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
              <span className={classes.swatch} data-phase={name} data-now={name === current || undefined} aria-hidden />
              {name}
            </dt>
            <dd className="numbers">{name === current ? `${duration(seconds)} so far` : short(seconds)}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}
