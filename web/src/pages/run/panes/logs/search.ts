/** Finding lines: those that hold a text, and the next one that looks like an error. */
import { useEffect, useState } from 'react';
import type { AttemptLog } from './source';
import type { LogStore } from './store';

const AT_ONCE = 10_000; // matches of one answer
const MOST = 100_000; // more nobody steps through

export interface Matches {
  lines: number[];
  /** Whether there may be more. */
  searching: boolean;
  more: boolean;
  error?: unknown;
}

const NONE: Matches = { lines: [], searching: false, more: false };

/** All lines that hold a text, in order, as they are found; those that arrive later, too. */
export function useMatches(log: AttemptLog, store: LogStore, text: string, service: string): Matches {
  const [matches, setMatches] = useState(NONE);
  useEffect(() => {
    if (text === '') {
      setMatches(NONE);
      return;
    }
    const abort = new AbortController();
    const lines: number[] = [];
    const add = (line: number) => {
      if (lines.length < MOST && line > (lines.at(-1) ?? 0)) lines.push(line);
    };
    let searching = true;
    const show = (error?: unknown) => setMatches({ lines: [...lines], searching, more: lines.length >= MOST, error });
    const search = async () => {
      let next: number | null = 1;
      while (next !== null && lines.length < MOST) {
        const query = { text, line: next, limit: AT_ONCE, service: service || undefined };
        const found = await log.search(query, abort.signal);
        for (const line of found.lines) add(line);
        next = found.next;
        show();
      }
    };
    const sought = text.toLowerCase();
    const stop = store.onArrival((line) => {
      if (searching || (service && line.service !== service) || !line.text.toLowerCase().includes(sought)) return;
      add(line.number);
      show();
    });
    show();
    search().then(
      () => {
        searching = false;
        show();
      },
      (error) => {
        searching = false;
        if (!abort.signal.aborted) show(error);
      },
    );
    return () => {
      abort.abort();
      stop();
    };
  }, [log, store, text, service]);
  return matches;
}

/** Return the first line after `line` that looks like an error, from the beginning again at the end; null: there is none. */
export async function nextError(log: AttemptLog, line: number, service: string): Promise<number | null> {
  const after = await firstError(log, line + 1, service);
  return after ?? (line > 0 ? firstError(log, 1, service) : null);
}

async function firstError(log: AttemptLog, from: number, service: string): Promise<number | null> {
  for (let next: number | null = from; next !== null; ) {
    const found = await log.search({ text: '', line: next, limit: 1, service: service || undefined });
    const [first] = found.lines;
    if (first !== undefined) return first;
    next = found.next;
  }
  return null;
}
