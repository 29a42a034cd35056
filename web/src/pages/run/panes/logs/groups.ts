/** Groups of lines that a program marked, and which of them are folded. */
import { useCallback, useEffect, useMemo, useState } from 'react';
import { type Group, groupsOf } from './rows';
import type { AttemptLog } from './source';
import type { LogStore } from './store';

const LONGEST = 50_000; // lines of a log that is searched for groups unasked
const MOST = 10_000; // groups

interface Found {
  opening: number[];
  closing: number[];
}

/** `total`: lines by now; those that arrive are looked at by the store. */
export function useGroups(log: AttemptLog, store: LogStore, total: number) {
  const [before, setBefore] = useState<Found>({ opening: [], closing: [] });
  const [folded, setFolded] = useState<ReadonlySet<number>>(new Set());

  useEffect(() => {
    if (store.total === 0 || store.total > LONGEST) return;
    const abort = new AbortController();
    const find = async (text: string) => (await log.search({ text, line: 1, limit: MOST }, abort.signal)).lines;
    find('::group::')
      .then(async (opening) => {
        if (opening.length > 0) setBefore({ opening, closing: await find('::endgroup::') });
      })
      .catch(() => {}); // folding is a convenience: without it all lines are shown
    return () => abort.abort();
  }, [log, store]);

  const arrived = store.opening.length + store.closing.length;
  const groups: Group[] = useMemo(
    () =>
      groupsOf(
        merged(before.opening, store.opening),
        merged(before.closing, store.closing),
        arrived > 0 || before.opening.length > 0 ? total : 0,
      ),
    [before, arrived, store, total],
  );
  const openers = useMemo(() => new Set(groups.map((group) => group.from)), [groups]);
  const fold = useCallback((line: number) => {
    setFolded((now) => {
      const next = new Set(now);
      if (!next.delete(line)) next.add(line);
      return next;
    });
  }, []);
  const foldAll = useCallback(
    (all: boolean) => setFolded(new Set(all ? groups.map((group) => group.from) : [])),
    [groups],
  );
  /** Unfold what a line is in. */
  const uncover = useCallback(
    (line: number) => {
      const over = groups.filter(({ from, to }) => from < line && line <= to && folded.has(from));
      if (over.length > 0) setFolded(new Set([...folded].filter((from) => !over.some((group) => group.from === from))));
    },
    [groups, folded],
  );
  return { groups, openers, folded, fold, foldAll, uncover };
}

/** Lines that were searched for and lines that arrived meanwhile, each once. */
function merged(searched: number[], arrived: number[]): number[] {
  const last = searched.at(-1) ?? 0;
  return [...searched, ...arrived.filter((line) => line > last)];
}
