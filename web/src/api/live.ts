/** What happens on the server, pushed by it into what is on the screen. */
import { type QueryClient, type QueryKey, useQueryClient } from '@tanstack/react-query';
import { useEffect, useSyncExternalStore } from 'react';
import {
  listAllPipelinesQueryKey,
  listEnvironmentsQueryKey,
  listRunsQueryKey,
  listWorkQueryKey,
  meQueryKey,
} from './generated/@tanstack/react-query.gen';
import type { PipelineGlance, ProjectGlance, RunSummary } from './generated/types.gen';
import { followAll, type LiveMessage } from './live-stream';
import { concerns, isNoticed } from './notices';
import type { StreamState } from './stream';

type Listener = (run: RunSummary) => void;
const listeners = new Set<Listener>();
const watchers = new Set<() => void>();
let state: StreamState = 'connecting';
let again = () => {};

function changeState(now: StreamState) {
  state = now;
  for (const each of watchers) each();
}

/** Whether news arrive; shown when they do not. */
export function useLiveState(): StreamState {
  return useSyncExternalStore(
    (watch) => {
      watchers.add(watch);
      return () => watchers.delete(watch);
    },
    () => state,
  );
}

/** Call `listen` with each run that changed, as it stands in lists now. */
export function useRunNews(listen: Listener) {
  useEffect(() => {
    listeners.add(listen);
    return () => {
      listeners.delete(listen);
    };
  }, [listen]);
}

/** Ask anew: what may be looked at has changed with who is logged in. */
export function askAgain() {
  again();
}

/** Keep lists current: those of runs and pipelines, and what notices are about. Once per page. */
export function useLive() {
  const queries = useQueryClient();
  useEffect(() => {
    const askWhoThisIs = () => void queries.invalidateQueries({ queryKey: meQueryKey() });
    let lost = false;
    const take = (message: LiveMessage) => {
      if (message.type === 'state') {
        changeState(message.state);
        // The server ends the stream when a login ends or rights change.
        if (message.state === 'away') {
          lost = true;
          askWhoThisIs();
        }
      } else if (message.type === 'reset') {
        refresh(queries);
        if (lost) askWhoThisIs(); // it may have changed again before the stream was back
        lost = false;
      } else if (message.type === 'notice') {
        const { notice } = message;
        freshen(queries, JSON.stringify(notice), (key) => concerns(notice, key));
      } else {
        const run = message.run as RunSummary;
        putIntoPipelines(queries, run);
        // Filters and pages make it hard to tell where a run belongs.
        freshen(queries, 'runs', (key) => isList(key) && !keepsItself(key));
        for (const listen of listeners) listen(run);
      }
    };
    return connect(take);
  }, [queries]);
}

function connect(take: (message: LiveMessage) => void): () => void {
  if (typeof SharedWorker === 'undefined') {
    let stop = followAll(take);
    again = () => {
      stop();
      stop = followAll(take);
    };
    return () => stop();
  }
  const worker = new SharedWorker(new URL('./live-worker.ts', import.meta.url), { type: 'module', name: 'flow-live' });
  worker.port.onmessage = (event: MessageEvent<LiveMessage>) => take(event.data);
  again = () => worker.port.postMessage('again');
  const bye = () => worker.port.postMessage('bye');
  const back = (event: PageTransitionEvent) => {
    if (event.persisted) window.location.reload(); // out of the browser's memory of pages: its port is closed
  };
  window.addEventListener('pagehide', bye);
  window.addEventListener('pageshow', back);
  return () => {
    window.removeEventListener('pagehide', bye);
    window.removeEventListener('pageshow', back);
    bye();
  };
}

const LISTS = [listRunsQueryKey(), listWorkQueryKey(), listEnvironmentsQueryKey({ path: { project: '' } })].map(
  (key) => (key as [{ _id: string }])[0]._id,
);

function isList(key: QueryKey): boolean {
  return LISTS.includes((key[0] as { _id?: string } | undefined)?._id ?? '');
}

/** Lists of many pages take each run by themselves: see run-list.ts. */
const keepsItself = (key: QueryKey) => (key[0] as { _infinite?: boolean } | undefined)?._infinite === true;

function refresh(queries: QueryClient) {
  void queries.invalidateQueries({ predicate: ({ queryKey }) => isList(queryKey) || isNoticed(queryKey) });
}

const stale = new Map<string, (key: QueryKey) => boolean>();

/** Ask again for what is concerned, once for many events. `what`: a name of it. */
function freshen(queries: QueryClient, what: string, concerned: (key: QueryKey) => boolean) {
  if (stale.size === 0) {
    setTimeout(() => {
      const all = [...stale.values()];
      stale.clear();
      void queries.invalidateQueries({ predicate: ({ queryKey }) => all.some((each) => each(queryKey)) });
    }, 400);
  }
  stale.set(what, concerned);
}

function putIntoPipelines(queries: QueryClient, run: RunSummary) {
  let unknown = false;
  queries.setQueriesData<ProjectGlance[]>({ queryKey: [{ _id: listAllPipelinesQueryKey()[0]._id }] }, (projects) => {
    const next = projects?.map((project) =>
      project.name === run.project ? { ...project, pipelines: withRun(project.pipelines, run) } : project,
    );
    unknown ||= !next?.some((each) => each.name === run.project && each.pipelines.some((p) => p.name === run.pipeline));
    return next;
  });
  const ended = run.finished_at !== null; // the server computes rates and medians
  if (unknown || ended) void queries.invalidateQueries({ queryKey: [{ _id: listAllPipelinesQueryKey()[0]._id }] });
}

function withRun(pipelines: PipelineGlance[], run: RunSummary): PipelineGlance[] {
  return pipelines.map((pipeline) => {
    if (pipeline.name !== run.pipeline) return pipeline;
    const others = pipeline.runs.filter((each) => each.id !== run.id);
    const runs = [...others, run].sort((a, b) => b.created_at - a.created_at || b.number - a.number);
    return { ...pipeline, runs: runs.slice(0, Math.max(pipeline.runs.length, 30)) };
  });
}
