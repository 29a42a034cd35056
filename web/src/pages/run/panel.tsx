/** Beside the graph: what there is to see of the step that is chosen, or of the run as a whole. */
import { Select, Tabs } from '@mantine/core';
import { CatchBoundary } from '@tanstack/react-router';
import { type ComponentType, lazy, Suspense, useEffect, useRef } from 'react';
import type { AttemptView, RunView, StepView } from '@/api';
import { useLiveState } from '@/api/live';
import { Coming, ErrorPanel } from '@/ui/panels';
import { lookOfStep, StateIcon, wordOf } from '@/ui/states';
import { Duration } from '@/ui/time';
import { isWaiting } from './order';
import { Overview } from './overview';
import classes from './panel.module.css';
import type { PaneProps } from './panes/pane';
import type { Choose, Place, Tab } from './place';
import { Why } from './why';

const lazyPanes = (): Record<Exclude<Tab, 'overview'>, ComponentType<PaneProps>> => ({
  logs: lazy(() => import('./panes/logs').then((module) => ({ default: module.LogPane }))),
  changes: lazy(() => import('./panes/changes').then((module) => ({ default: module.ChangesPane }))),
  workspace: lazy(() => import('./panes/workspace').then((module) => ({ default: module.WorkspacePane }))),
  details: lazy(() => import('./panes/details').then((module) => ({ default: module.DetailsPane }))),
});
let panes = lazyPanes();
const NAMES: [tab: Tab, name: string][] = [
  ['logs', 'Logs'],
  ['changes', 'Changes'],
  ['workspace', 'Workspace'],
  ['details', 'Details'],
];

interface PanelProps {
  run: RunView;
  place: Place;
  choose: Choose;
}

export function Panel({ run, place, choose }: PanelProps) {
  const { step, attempt, tab } = place;
  return (
    <Tabs
      value={tab}
      onChange={(value) => choose.tab(value as Tab)}
      keepMounted={false}
      classNames={{ root: classes.panel, list: classes.tabs, tab: classes.tab, panel: classes.pane }}
    >
      <div className={classes.head}>
        {step && tab !== 'overview' && <StepTitle step={step} attempt={attempt} onAttempt={choose.attempt} />}
        <Tabs.List aria-label="What to look at">
          {step && NAMES.map(([value, name]) => <StepTab key={value} value={value} name={name} step={step} />)}
          <Tabs.Tab value="overview" ml={step ? 'auto' : undefined}>
            Overview of the run
          </Tabs.Tab>
        </Tabs.List>
      </div>
      {step && tab !== 'overview' && <Remark run={run} step={step} attempt={attempt} />}
      <Tabs.Panel value={tab}>
        <CatchBoundary
          getResetKey={() => `${tab} ${step?.key} ${attempt?.attempt}`}
          errorComponent={({ error, reset }) => <Failed error={error} retry={() => again(reset)} />}
        >
          <Suspense fallback={<Coming />}>
            <Shown run={run} place={place} choose={choose} />
          </Suspense>
        </CatchBoundary>
      </Tabs.Panel>
    </Tabs>
  );
}

/** Show a pane anew. One that did not arrive is asked for again: React keeps that it failed. */
function again(reset: () => void) {
  panes = lazyPanes();
  reset();
}

/** By itself when the server was away and is back: until then a part could not even be loaded. */
function Failed({ error, retry }: { error: unknown; retry: () => void }) {
  const open = useLiveState() === 'open';
  const wasAway = useRef(!open);
  useEffect(() => {
    if (open && wasAway.current) retry();
    wasAway.current = !open;
  });
  return <ErrorPanel error={error} retry={retry} />;
}

function Shown({ run, place: { tab, step, attempt }, choose }: PanelProps) {
  if (!step || tab === 'overview') return <Overview run={run} choose={choose} />;
  const Pane = panes[tab];
  // A pane of another attempt begins anew: nothing of what was unfolded or scrolled there fits here.
  return <Pane key={`${step.key} ${attempt?.attempt}`} run={run} step={step} attempt={attempt} />;
}

function StepTab({ value, name, step }: { value: Tab; name: string; step: StepView }) {
  const changed = Object.values(step.attempts.at(-1)?.changes ?? {}).reduce((sum, count) => sum + count, 0);
  return (
    <Tabs.Tab value={value}>
      {name}
      {value === 'changes' && changed > 0 && <span className={classes.count}>{changed}</span>}
    </Tabs.Tab>
  );
}

interface StepTitleProps {
  step: StepView;
  attempt: AttemptView | undefined;
  onAttempt: (attempt: number) => void;
}

function StepTitle({ step, attempt, onAttempt }: StepTitleProps) {
  return (
    <div className={classes.title}>
      <StateIcon look={lookOfStep(step)} size={18} />
      <h2 title={step.key}>{step.key}</h2>
      {step.attempts.length > 1 && attempt && (
        <Select
          size="xs"
          aria-label="Attempt"
          className={classes.attempts}
          allowDeselect={false}
          data={step.attempts.map((each) => ({
            value: String(each.attempt),
            label: `Attempt ${each.attempt}: ${each.outcome ?? each.state}`,
          }))}
          value={String(attempt.attempt)}
          onChange={(value) => value && onAttempt(Number(value))}
        />
      )}
      <span className={classes.facts}>
        {attempt?.phase && <span>{attempt.phase}</span>}
        <Duration from={attempt?.started_at ?? step.started_at} to={attempt ? attempt.finished_at : step.finished_at} />
        {attempt?.node && <span>on {attempt.node}</span>}
      </span>
    </div>
  );
}

/** One line of what has to be known first: what went wrong, or what it waits for. */
function Remark({ run, step, attempt }: PaneProps) {
  if (isWaiting(step) || (step.state === 'pending' && run.finished_at === null)) return <Why run={run} step={step} />;
  const outcome = attempt?.outcome ?? step.outcome;
  const message = attempt?.message || step.message;
  if (!outcome || outcome === 'succeeded' || !message) return null;
  return (
    <p className={classes.remark} data-outcome={outcome}>
      <b>{wordOf(outcome)}</b> {message}
    </p>
  );
}
