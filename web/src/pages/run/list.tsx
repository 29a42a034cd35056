/** The steps as a list: the graph for those who read rather than look, and on small screens. */
import type { RunView, StepView } from '@/api';
import { lookOfStep, StateIcon, wordOf } from '@/ui/states';
import table from '@/ui/table.module.css';
import { Duration } from '@/ui/time';
import classes from './list.module.css';

interface StepListProps {
  run: RunView;
  /** As they are shown. */
  steps: StepView[];
  selected: string | undefined;
  onSelect: (key: string) => void;
}

export function StepList({ run, steps, selected, onSelect }: StepListProps) {
  return (
    <div className={classes.scroll}>
      <table className={classes.list}>
        <thead>
          <tr>
            <th scope="col">Step</th>
            <th scope="col">State</th>
            <th scope="col">After</th>
            <th scope="col">Runner</th>
            <th scope="col" className={table.number}>
              Time
            </th>
          </tr>
        </thead>
        <tbody>
          {steps.map((step) => (
            <Row key={step.key} run={run} step={step} selected={selected === step.key} onSelect={onSelect} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface RowProps {
  run: RunView;
  step: StepView;
  selected: boolean;
  onSelect: (key: string) => void;
}

function Row({ run, step, selected, onSelect }: RowProps) {
  const look = lookOfStep(step);
  return (
    <tr aria-current={selected || undefined} data-look={look} onClick={() => onSelect(step.key)}>
      <td>
        <button type="button" className={classes.name}>
          <StateIcon look={look} />
          {step.key}
        </button>
      </td>
      <td>
        {wordOf(look)}
        {step.attempts.length > 1 && <span className="faint">, attempt {step.attempts.length}</span>}
        {remarks(step).map((remark) => (
          <span key={remark} className="faint">
            , {remark}
          </span>
        ))}
      </td>
      <td className="faint">{causes(run, step)}</td>
      <td className="faint">{step.attempts.at(-1)?.node}</td>
      <td className={table.number}>
        <Duration from={step.started_at} to={step.finished_at} />
      </td>
    </tr>
  );
}

function remarks(step: StepView): string[] {
  return [
    step.cached && 'from the step cache',
    step.reused && 'taken over',
    step.background && 'background',
    step.allow_failure && 'may fail',
  ].filter((each) => each !== false);
}

/** What leads to a step, in words: the graph says it by lines. */
function causes(run: RunView, step: StepView): string {
  const said = run.edges
    .filter(({ target }) => target === step.key)
    .map(({ source, kind, condition }) => {
      const how = kind === 'success' ? source : kind === 'fail' ? `${source} fails` : `${source} ends`;
      return condition ? `${how}, if ${condition}` : how;
    });
  return [...new Set(said)].join('; ');
}
