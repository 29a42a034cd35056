/** What the test reports of a run say: totals by step, and the cases that failed. */
import type { RunTests, StepTests, TestCase, TestTotals } from '@/api';
import { StateIcon } from '@/ui/states';
import { duration } from '@/ui/time';
import classes from './tests.module.css';

export function Tests({ tests, onStep }: { tests: RunTests; onStep: (key: string) => void }) {
  return (
    <div className={classes.tests}>
      <Totals totals={tests.totals} />
      {tests.steps.map((step) => (
        <StepResults key={step.step} step={step} onStep={onStep} />
      ))}
    </div>
  );
}

function Totals({ totals: { passed = 0, failed = 0, errored = 0, skipped = 0, seconds = 0 } }: { totals: TestTotals }) {
  return (
    <span className={classes.totals}>
      {failed > 0 && (
        <span>
          <StateIcon look="failed" size={14} /> {failed} failed
        </span>
      )}
      {errored > 0 && (
        <span>
          <StateIcon look="errored" size={14} /> {errored} errored
        </span>
      )}
      <span>
        <StateIcon look="succeeded" size={14} /> {passed} passed
      </span>
      {skipped > 0 && <span>{skipped} skipped</span>}
      <span className="faint">{duration(seconds)}</span>
    </span>
  );
}

function StepResults({ step, onStep }: { step: StepTests; onStep: (key: string) => void }) {
  return (
    <div className={classes.step}>
      <div className={classes.heading}>
        <button type="button" onClick={() => onStep(step.step)}>
          {step.step}
        </button>
        <Totals totals={step.totals} />
      </div>
      {step.failed.map((test) => (
        <Failed key={`${test.report} ${test.suite} ${test.classname} ${test.name} ${test.line}`} test={test} />
      ))}
      {step.problems.map((problem) => (
        <p key={problem.report} className="faint">
          <code>{problem.report}</code> {problem.message}
        </p>
      ))}
      {!step.complete && <p className="faint">There are more results in the reports than are shown here.</p>}
    </div>
  );
}

function Failed({ test }: { test: TestCase }) {
  return (
    <details className={classes.case}>
      <summary>
        <StateIcon look={test.status === 'errored' ? 'errored' : 'failed'} size={14} />
        <span>{[test.classname || test.suite, test.name].filter(Boolean).join(' › ')}</span>
        <span className={classes.message}>{test.message}</span>
      </summary>
      {test.file && (
        <p className="faint">
          <code>
            {test.file}
            {test.line > 0 && `:${test.line}`}
          </code>
        </p>
      )}
      <pre>{test.details || test.message || 'The report says no more about it.'}</pre>
    </details>
  );
}
