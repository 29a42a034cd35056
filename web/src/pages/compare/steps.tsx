/** Each step of two runs in one row: how it ended, and how long it took. */
import { useEffect, useRef } from 'react';
import type { RunComparison, StepCompared, StepSide } from '@/api';
import { StateIcon, wordOf } from '@/ui/states';
import table from '@/ui/table.module.css';
import { duration } from '@/ui/time';
import { isDifferent, lookOfSide, timeDifference } from './difference';
import classes from './steps.module.css';

interface StepsProps {
  compared: RunComparison;
  selected: string | undefined;
  onSelect: (key: string) => void;
}

export function Steps({ compared: { before, after, steps }, selected, onSelect }: StepsProps) {
  // Bars are for comparing: what only one of the runs has (or serves in one) does not make the others small.
  const both = steps.filter((step) => step.before?.seconds && step.after?.seconds);
  const longest = Math.max(1, ...both.flatMap((step) => [step.before?.seconds ?? 0, step.after?.seconds ?? 0]));
  return (
    <div className={table.frame}>
      <table className={classes.steps} style={{ '--longest': longest }}>
        <thead>
          <tr>
            <th scope="col">Step</th>
            <th scope="col">#{before.number}</th>
            <th scope="col">#{after.number}</th>
            <th scope="col">Time</th>
            <th scope="col" className={table.number}>
              Difference
            </th>
          </tr>
        </thead>
        <tbody>
          {steps.map((step) => (
            <Row key={step.key} step={step} selected={selected === step.key} onSelect={onSelect} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface RowProps {
  step: StepCompared;
  selected: boolean;
  onSelect: (key: string) => void;
}

function Row({ step, selected, onSelect }: RowProps) {
  const row = useRef<HTMLTableRowElement>(null);
  const time = timeDifference(step.before?.seconds, step.after?.seconds);
  useEffect(() => {
    if (selected) row.current?.scrollIntoView({ block: 'nearest' });
  }, [selected]);
  return (
    <tr
      ref={row}
      aria-current={selected || undefined}
      data-different={isDifferent(step) || undefined}
      onClick={() => onSelect(step.key)}
    >
      <td>
        <button type="button" className={table.name}>
          {step.key}
        </button>
        {step.redefined && <span className={classes.remark}>another definition</span>}
      </td>
      <td>
        <Side side={step.before} />
      </td>
      <td>
        <Side side={step.after} />
      </td>
      <td className={classes.bars}>
        <Time side={step.before} />
        <Time side={step.after} />
      </td>
      <td className={table.number} data-slower={time.slower === undefined ? undefined : time.slower ? 'yes' : 'no'}>
        {time.text}
      </td>
    </tr>
  );
}

function Side({ side }: { side: StepSide | null }) {
  if (!side) return <span className="faint">no such step</span>;
  const look = lookOfSide(side);
  return (
    <span className={classes.side}>
      <StateIcon look={look} size={15} />
      <span>
        {wordOf(look)}
        {side.exit_code !== null && side.exit_code !== 0 && `, exit code ${side.exit_code}`}
        {side.attempts > 1 && <span className="faint">, {side.attempts} attempts</span>}
        {side.cached && <span className="faint">, from the step cache</span>}
        {side.reused && <span className="faint">, taken over</span>}
      </span>
    </span>
  );
}

function Time({ side }: { side: StepSide | null }) {
  if (side?.seconds === null || side?.seconds === undefined) return <span className={classes.time} />;
  return (
    <span className={classes.time}>
      <i style={{ '--seconds': side.seconds }} />
      {duration(side.seconds)}
    </span>
  );
}
