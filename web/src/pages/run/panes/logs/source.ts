/** The log of one attempt, as the API gives it. */
import { api, type LogMatches } from '@/api';
import { followWhileSeen } from '@/api/stream';
import type { LogSource } from './store';

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
  const address = (kind: string, more: Record<string, string | number>) => {
    const query = new URLSearchParams({ attempt: String(attempt) });
    for (const [name, value] of Object.entries(more)) query.set(name, String(value));
    return `/api/v1/runs/${encodeURIComponent(run)}/steps/${encodeURIComponent(step)}/logs/${kind}?${query}`;
  };
  return {
    read: async (query, signal) => (await api.readLog({ path, query: { attempt, ...query }, signal })).data,
    search: async (query, signal) => (await api.searchLog({ path, query: { attempt, ...query }, signal })).data,
    raw: (service) => address('raw', service ? { service } : {}),
    follow: (from, take, end, onState) =>
      followWhileSeen(() => address('stream', { offset: from() }), {
        on: { log: (data) => take(data as Parameters<typeof take>[0]), end },
        onState,
      }),
  };
}
