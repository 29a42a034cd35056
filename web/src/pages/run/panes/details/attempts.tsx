/** All attempts of a step; each can be chosen. */
import { Link } from '@tanstack/react-router';
import type { AttemptView, StepView } from '@/api';
import { type Look, StateLabel } from '@/ui/states';
import { Ago, Duration } from '@/ui/time';
import classes from './details.module.css';

export function Attempts({ step, chosen }: { step: StepView; chosen: AttemptView | undefined }) {
  return (
    <div className={classes.scroll}>
      <table className={classes.table}>
        <thead>
          <tr>
            <th scope="col">Attempt</th>
            <th scope="col">Outcome</th>
            <th scope="col">Exit code</th>
            <th scope="col">Began</th>
            <th scope="col">Took</th>
            <th scope="col">Machine</th>
          </tr>
        </thead>
        <tbody>
          {step.attempts.toReversed().map((each) => (
            <tr key={each.attempt} data-chosen={each.attempt === chosen?.attempt || undefined}>
              <td>
                <Link
                  to="."
                  search={(before) => ({ ...before, attempt: String(each.attempt) })}
                  aria-current={each.attempt === chosen?.attempt}
                >
                  {each.attempt}
                </Link>
              </td>
              <td>
                <StateLabel look={lookOf(each)} />
              </td>
              <td className="numbers">{each.exit_code ?? <span className="faint">none</span>}</td>
              <td>
                {each.started_at === null ? <span className="faint">not yet</span> : <Ago at={each.started_at} />}
              </td>
              <td>
                <Duration from={each.started_at} to={each.finished_at} />
              </td>
              <td>{each.node || <span className="faint">of the server</span>}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function lookOf(attempt: AttemptView): Look {
  return attempt.outcome ?? (attempt.started_at === null ? 'waiting' : 'running');
}
