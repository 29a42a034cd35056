/** The run as a whole: what went wrong, what steps say of themselves, tests, inputs and variables. */
import { Alert } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { lazy, type ReactNode, Suspense, useEffect } from 'react';
import { listReportsOptions, listSummariesOptions, type RunView, type StepSummary } from '@/api';
import { Empty } from '@/ui/panels';
import { lookOfStep, StateIcon, wordOf } from '@/ui/states';
import { inOrder, isFailure } from './order';
import classes from './overview.module.css';
import type { Choose } from './place';
import { Tests } from './tests';

const Markdown = lazy(() => import('@/ui/markdown'));

export function Overview({ run, choose }: { run: RunView; choose: Choose }) {
  const path = { run: run.id };
  const summaries = useQuery(listSummariesOptions({ path }));
  const reports = useQuery(listReportsOptions({ path }));
  const ended = run.steps.filter((step) => step.state === 'done').length;
  const { refetch: askSummaries } = summaries;
  const { refetch: askReports } = reports;
  // biome-ignore lint/correctness/useExhaustiveDependencies: a step that ends may have left more to tell
  useEffect(() => {
    void askSummaries();
    void askReports();
  }, [ended, askSummaries, askReports]);
  const failures = inOrder(run).filter(isFailure);
  return (
    <div className={classes.overview}>
      {run.interrupted && (
        <Alert color="orange" title="Nobody drives this run">
          The program that drove it is gone. `flow resume` goes on with it; until then nothing happens.
        </Alert>
      )}
      <Count run={run} />
      {failures.length > 0 && (
        <Section title="What went wrong">
          <ul className={classes.failures}>
            {failures.map((step) => (
              <li key={step.key}>
                <button type="button" onClick={() => choose.step(step.key, { tab: 'logs' })}>
                  <StateIcon look={lookOfStep(step)} />
                  <b>{step.key}</b>
                  <span>{step.message || step.reason?.replaceAll('_', ' ')}</span>
                </button>
              </li>
            ))}
          </ul>
        </Section>
      )}
      {summaries.data?.map((summary) => (
        <Summary key={summary.step} summary={summary} choose={choose} />
      ))}
      {reports.data && reports.data.steps.length > 0 && (
        <Section title="Tests">
          <Tests tests={reports.data} onStep={(key) => choose.step(key, { tab: 'logs' })} />
        </Section>
      )}
      <Values title="Inputs" values={run.inputs} />
      <Values title="Variables" values={run.variables} />
      {run.steps.length === 0 && <Empty title="This run has no steps" />}
    </div>
  );
}

function Section({ title, children }: { title: ReactNode; children: ReactNode }) {
  return (
    <section className={classes.section}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

function Count({ run }: { run: RunView }) {
  const counts = new Map<ReturnType<typeof lookOfStep>, number>();
  for (const step of run.steps) counts.set(lookOfStep(step), (counts.get(lookOfStep(step)) ?? 0) + 1);
  return (
    <p className={classes.counts}>
      <b>{run.steps.length === 1 ? '1 step' : `${run.steps.length} steps`}</b>
      {[...counts].map(([look, count]) => (
        <span key={look}>
          <StateIcon look={look} size={14} /> {count} {wordOf(look)}
        </span>
      ))}
    </p>
  );
}

function Summary({ summary, choose }: { summary: StepSummary; choose: Choose }) {
  return (
    <Section
      title={
        <>
          Summary of{' '}
          <button type="button" className={classes.link} onClick={() => choose.step(summary.step)}>
            {summary.step}
          </button>
        </>
      }
    >
      <div className={classes.summary}>
        <Suspense fallback={<pre aria-busy="true">{summary.text}</pre>}>
          <Markdown text={summary.text} />
        </Suspense>
      </div>
      {summary.cut && <p className="faint">There is more of it in the workspace of the step.</p>}
    </Section>
  );
}

function Values({ title, values }: { title: string; values: Record<string, unknown> }) {
  const entries = Object.entries(values);
  if (entries.length === 0) return null;
  return (
    <Section title={title}>
      <ValueTable values={entries} />
    </Section>
  );
}

export function ValueTable({ values }: { values: [name: string, value: unknown][] }) {
  return (
    <table className={classes.values}>
      <tbody>
        {values.map(([name, value]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>
              <code>{typeof value === 'string' ? value : JSON.stringify(value)}</code>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
