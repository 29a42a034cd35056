/** The log of one attempt, as the API gives it. */
import { api, type LogMatches } from '@/api';
import type { LogSource, StreamHandlers } from './store';
import type { News, Order } from './stream-worker';

export interface AttemptLog extends LogSource {
  /** The numbers of lines that hold a text; of an empty one: that look like errors. */
  search(
    query: { text: string; line: number; limit: number; service?: string },
    signal?: AbortSignal,
  ): Promise<LogMatches>;
  /** Where the log can be had as it was written. */
  raw(service?: string): string;
}

export function attemptLog(run: string, step: string, attempt: number): AttemptLog {
  const path = { run, step };
  const address = (kind: string, more: Record<string, string> = {}) => {
    const query = new URLSearchParams({ attempt: String(attempt) });
    for (const [name, value] of Object.entries(more)) query.set(name, value);
    return `/api/v1/runs/${encodeURIComponent(run)}/steps/${encodeURIComponent(step)}/logs/${kind}?${query}`;
  };
  return {
    read: async (query, signal) => (await api.readLog({ path, query: { attempt, ...query }, signal })).data,
    search: async (query, signal) => (await api.searchLog({ path, query: { attempt, ...query }, signal })).data,
    raw: (service) => address('raw', service ? { service } : {}),
    follow: (handlers) => followed(address('stream'), handlers),
  };
}

/** Follow a stream by a worker, while the page can be seen: browsers allow six connections to a server, for all tabs together. */
function followed(address: string, { from, take, end, state, whole }: StreamHandlers) {
  let worker: Worker | undefined;
  let over = false;
  const tell = (order: Order) => worker?.postMessage(order);
  const stop = () => {
    worker?.terminate();
    worker = undefined;
  };
  const begin = () => {
    worker = new Worker(new URL('./stream-worker.ts', import.meta.url), { type: 'module', name: 'flow-log' });
    worker.onmessage = ({ data }: MessageEvent<News>) => {
      if (data.type === 'lines') take(data.arrivals);
      else if (data.type === 'state') state(data.state);
      else {
        over = true;
        stop();
        end();
      }
    };
    tell({ type: 'whole', whole: whole() });
    tell({ type: 'begin', address, offset: from() });
  };
  const look = () => {
    if (document.hidden) stop();
    else if (!over && !worker) begin();
  };
  document.addEventListener('visibilitychange', look);
  look();
  return {
    stop: () => {
      document.removeEventListener('visibilitychange', look);
      stop();
    },
    wholeChanged: () => tell({ type: 'whole', whole: whole() }),
  };
}
