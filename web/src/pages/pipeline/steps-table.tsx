/** The steps of a pipeline: where its time goes, and which of them cannot be relied upon. */
import { Table, Tooltip } from '@mantine/core';
import { IconDice3 } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import type { PipelineFigures, StepFigures } from '@/api';
import { colourOf, type Look, wordOf } from '@/ui/states';
import { duration } from '@/ui/time';
import classes from './history.module.css';

export function StepsTable({ project, figures }: { project: string; figures: PipelineFigures }) {
  const numbers = new Map(figures.runs.map((run) => [run.id, run.number]));
  const longest = Math.max(...figures.steps.map((step) => step.median_seconds ?? 0), 0.001);
  return (
    <Table.ScrollContainer minWidth={620} scrollAreaProps={{ viewportProps: { tabIndex: 0 } }}>
      <Table className={classes.steps}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Step</Table.Th>
            <Table.Th colSpan={2}>Median</Table.Th>
            <Table.Th>Nine of ten</Table.Th>
            <Table.Th>Waits</Table.Th>
            <Table.Th>Outcomes</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {figures.steps.map((step) => (
            <Table.Tr key={step.step}>
              <Table.Th scope="row" className={classes.step}>
                {step.step} <Flaky step={step} project={project} numbers={numbers} />
              </Table.Th>
              <Table.Td className="numbers">
                {step.median_seconds === null ? '–' : duration(step.median_seconds)}
              </Table.Td>
              <Table.Td className={classes.share}>
                <span className={classes.bar} aria-hidden>
                  <span style={{ width: `${(100 * (step.median_seconds ?? 0)) / longest}%` }} />
                </span>
              </Table.Td>
              <Table.Td className="numbers">{step.p90_seconds === null ? '–' : duration(step.p90_seconds)}</Table.Td>
              <Table.Td className="numbers faint">
                {step.median_waiting === null ? '–' : duration(step.median_waiting)}
              </Table.Td>
              <Table.Td>
                <Outcomes step={step} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

const OUTCOMES = ['succeeded', 'failed', 'errored', 'cancelled'] as const satisfies readonly Look[];

function Outcomes({ step }: { step: StepFigures }) {
  const words = OUTCOMES.flatMap((name) => (step[name] > 0 ? [`${step[name]} ${wordOf(name)}`] : []));
  if (step.cached > 0) words.push(`${step.cached} from the step cache`);
  if (step.retried > 0) words.push(`tried again in ${step.retried}`);
  return (
    <Tooltip label={words.join(', ') || 'never ran'}>
      <span className={classes.outcomes}>
        {OUTCOMES.map(
          (name) => step[name] > 0 && <span key={name} style={{ flexGrow: step[name], background: colourOf(name) }} />,
        )}
        <span className="visually-hidden">{words.join(', ') || 'never ran'}</span>
      </span>
    </Tooltip>
  );
}

interface FlakyProps {
  project: string;
  step: StepFigures;
  numbers: Map<string, number>;
}

/** It failed in some runs although it succeeded with the same commit; the newest of them are a click away. */
function Flaky({ project, step, numbers }: FlakyProps) {
  if (step.flaky === 0) return null;
  const runs = step.flaky_runs.flatMap((id) => numbers.get(id) ?? []).slice(0, 3);
  return (
    <span className={classes.flaky}>
      <Tooltip label="Failed, and succeeded with the same commit in another run or attempt">
        <span className={classes.word}>
          <IconDice3 size={13} aria-hidden /> flaky in {step.flaky}
        </span>
      </Tooltip>
      {runs.map((number) => (
        <Link
          key={number}
          to="/projects/$project/runs/$number"
          params={{ project, number: String(number) }}
          search={{ step: step.step }}
        >
          #{number}
        </Link>
      ))}
    </span>
  );
}
