/** The page of a run: its graph, and beside it what there is to see of a step. All that is chosen is in the address. */
import { SegmentedControl, Tooltip, UnstyledButton } from '@mantine/core';
import { useLocalStorage, useMediaQuery } from '@mantine/hooks';
import { IconLayoutBottombar, IconLayoutSidebarRight } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useParams, useSearch } from '@tanstack/react-router';
import { lazy, Suspense, useMemo, useState } from 'react';
import { api, findRunQueryKey, getRunQueryKey, type RunView } from '@/api';
import { useRun } from '@/api/run';
import { useMay } from '@/app/session';
import { Page } from '@/ui/page';
import { Coming, ErrorPanel, Loading } from '@/ui/panels';
import { lookOfRun, StateLabel, wordOf } from '@/ui/states';
import { useLasting } from '@/ui/time';
import { Actions } from './actions';
import { APPROVE_BUTTON, Approvals } from './approvals';
import { Facts } from './facts';
import { graphOfRun, StepGraph } from './graph/graph';
import { KeyList, useKeys } from './keys';
import { StepList } from './list';
import { failureAfter, inOrder, isFailure, stepAfter } from './order';
import { Panel } from './panel';
import { type Choose, type Place, placeOf, useChoose, type View } from './place';
import { Rerun, type RerunFrom } from './rerun';
import classes from './run.module.css';
import { type Dock, Split } from './split';

const Timeline = lazy(() => import('./timeline/timeline'));

export function Run() {
  const { project, number } = useParams({ from: '/shell/projects/$project/runs/$number' });
  const queries = useQueryClient();
  const path = { project, name: number };
  const found = useQuery({
    queryKey: findRunQueryKey({ path }),
    queryFn: async ({ signal }) => {
      const { data } = await api.findRun({ path, signal });
      queries.setQueryData(getRunQueryKey({ path: { run: data.id } }), data); // so that it is not asked for twice
      return data;
    },
  });
  const { run, live, error } = useRun(found.data?.id ?? '');
  const slow = useLasting(found.isPending);
  const failed = found.error ?? (run ? null : error);
  if (run) return <RunPage key={run.id} run={run} away={live === 'away'} />;
  return (
    <Page title={`#${number}`} crumbs={[{ label: project, to: `/projects/${project}` }]}>
      {failed ? <ErrorPanel error={failed} retry={() => void found.refetch()} /> : slow && <Loading />}
    </Page>
  );
}

function RunPage({ run, away }: { run: RunView; away: boolean }) {
  const search = useSearch({ from: '/shell/projects/$project/runs/$number' });
  const choose = useChoose();
  const [rerun, setRerun] = useState<RerunFrom>();
  const [keys, setKeys] = useState(false);
  const place = useMemo(() => placeOf(search, run), [search, run]);
  usePageKeys(run, place, search.step !== undefined, choose, { rerun: setRerun, list: () => setKeys(true) });
  const [dock, setDock] = useLocalStorage<Dock>({ key: 'flow.run.dock', defaultValue: 'beside' });
  const look = lookOfRun(run.state);
  const word = run.state === 'cancelling' ? 'cancelling' : wordOf(look);
  const name = `${run.pipeline} #${run.number}`;
  return (
    <Page
      fill
      title={`${name} ${word}`}
      heading={
        <>
          {name} <StateLabel look={look} word={word} />
        </>
      }
      look={look}
      crumbs={[
        { label: run.project, to: `/projects/${run.project}` },
        { label: run.pipeline, to: `/projects/${run.project}/pipelines/${run.pipeline}` },
      ]}
      actions={
        <Actions
          run={run}
          onRerun={() => setRerun(look === 'failed' || look === 'errored' ? 'failed' : 'all')}
          onKeys={() => setKeys(true)}
        />
      }
    >
      <div className={classes.body}>
        <div className={classes.bar}>
          <Facts run={run} />
          <Views view={place.view} choose={choose} dock={dock} onDock={setDock} />
        </div>
        <Away away={away} />
        <Approvals run={run} onStep={choose.step} />
        <Split
          dock={dock}
          first={<Steps run={run} place={place} choose={choose} />}
          second={<Panel run={run} place={place} choose={choose} />}
        />
      </div>
      {rerun && <Rerun run={run} step={place.step} from={rerun} onClose={() => setRerun(undefined)} />}
      <KeyList opened={keys} onClose={() => setKeys(false)} />
    </Page>
  );
}

/** The steps, in one of three views. */
function Steps({ run, place, choose }: { run: RunView; place: Place; choose: Choose }) {
  const graph = useMemo(() => graphOfRun(run), [run]);
  const steps = useMemo(() => inOrder(run), [run]);
  const selected = place.tab === 'overview' ? undefined : place.step?.key;
  if (place.view === 'list') return <StepList run={run} steps={steps} selected={selected} onSelect={choose.step} />;
  if (place.view === 'timeline') {
    return (
      <Suspense fallback={<Coming />}>
        <Timeline run={run} steps={steps} selected={selected} onSelect={choose.step} />
      </Suspense>
    );
  }
  return <StepGraph graph={graph} selected={selected} onSelect={choose.step} label={`Graph of ${run.pipeline}`} />;
}

const VIEW_NAMES: { value: View; label: string }[] = [
  { value: 'graph', label: 'Graph' },
  { value: 'list', label: 'List' },
  { value: 'timeline', label: 'Timeline' },
];

interface ViewsProps {
  view: View;
  choose: Choose;
  dock: Dock;
  onDock: (dock: Dock) => void;
}

function Views({ view, choose, dock, onDock }: ViewsProps) {
  const narrow = useMediaQuery('(max-width: 48em)');
  const label = dock === 'below' ? 'Put the panes beside the steps' : 'Put the panes below the steps';
  return (
    <div className={classes.views}>
      <SegmentedControl
        size="xs"
        aria-label="View of the steps"
        data={VIEW_NAMES}
        value={view}
        onChange={(value) => choose.view(value as View)}
      />
      {!narrow && (
        <Tooltip label={label}>
          <UnstyledButton
            className={classes.dock}
            aria-label={label}
            onClick={() => onDock(dock === 'below' ? 'beside' : 'below')}
          >
            {dock === 'below' ? <IconLayoutSidebarRight size={17} /> : <IconLayoutBottombar size={17} />}
          </UnstyledButton>
        </Tooltip>
      )}
    </div>
  );
}

function Away({ away }: { away: boolean }) {
  const lasting = useLasting(away, 2500);
  return (
    <div role="status" className={classes.away}>
      {lasting && 'News of this run do not arrive: trying again. What you see may be old.'}
    </div>
  );
}

interface Openers {
  rerun: (from: RerunFrom) => void;
  list: () => void;
}

function usePageKeys(run: RunView, place: Place, named: boolean, choose: Choose, open: Openers) {
  const may = useMay();
  const key = place.tab === 'overview' ? undefined : place.step?.key;
  const go = (by: 1 | -1) => {
    const step = stepAfter(inOrder(run), key, by);
    if (step) choose.step(step.key, { replace: true });
  };
  useKeys({
    j: () => go(1),
    k: () => go(-1),
    f: () => {
      // What is shown without having been chosen is the first failure, and has not been looked at.
      const first = !named && place.step && isFailure(place.step) ? place.step : undefined;
      const step = first ?? failureAfter(inOrder(run), key);
      if (step) choose.step(step.key, { tab: 'logs' });
    },
    l: () => choose.tab('logs'),
    c: () => choose.tab('changes'),
    w: () => choose.tab('workspace'),
    d: () => choose.tab('details'),
    o: () => choose.tab('overview'),
    g: () => choose.view('graph'),
    s: () => choose.view('list'),
    t: () => choose.view('timeline'),
    r: () => may('run.rerun', run.project) && open.rerun(key === undefined ? 'all' : 'step'),
    a: () => document.getElementById(APPROVE_BUTTON)?.focus(),
    '?': open.list,
  });
}
