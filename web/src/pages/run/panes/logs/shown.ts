/** Which lines of a log are in which rows: all of them, those of one service, or all but what is folded. */
import { useCallback, useMemo } from 'react';
import { useGroups } from './groups';
import { allRows, type Rows, someRows } from './rows';
import type { ServiceLines } from './service-lines';
import type { AttemptLog } from './source';
import type { LogStore } from './store';
import { useServiceLines } from './use-store';

const AHEAD = 200; // rows before the end of what is known of a service: from there on more of it is found

export interface Shown {
  rows: Rows;
  /** Another one: rows are others than they were. */
  kind: string;
  /** When only those of a service are shown. */
  ofService: ServiceLines | undefined;
  /** undefined: there is nothing to fold. */
  folding: { folded: boolean; turn: () => void } | undefined;
  /** Whether the group is folded that a line opens; undefined: it opens none. */
  foldedAt: (line: number) => boolean | undefined;
  fold: (line: number) => void;
  /** Unfold what a line is in. */
  uncover: (line: number) => void;
  /** Have the lines of rows that are in view. */
  want: (first: number, last: number) => void;
}

export function useShown(log: AttemptLog, store: LogStore, service: string): Shown {
  const { groups, openers, folded, fold, foldAll, uncover } = useGroups(log, store, store.total);
  const ofService = useServiceLines(log, store, service);
  const found = ofService?.numbers.length; // the list grows in its place
  const rows = useMemo(
    () => (ofService ? someRows(ofService.numbers, found) : allRows(store.total, groups, folded)),
    [ofService, found, store.total, groups, folded],
  );
  const want = useCallback(
    (first: number, last: number) => {
      const lines = Array.from({ length: Math.max(0, last - first + 1) }, (_, at) => rows.lineAt(first + at));
      store.want(lines, service);
      if (ofService && last >= ofService.numbers.length - AHEAD) void ofService.load();
    },
    [rows, store, service, ofService],
  );
  const foldable = !ofService && groups.length > 0;
  return {
    rows,
    kind: `${service} ${[...folded].join()}`,
    ofService,
    folding: foldable ? { folded: folded.size > 0, turn: () => foldAll(folded.size === 0) } : undefined,
    foldedAt: (line) => (!ofService && openers.has(line) ? folded.has(line) : undefined),
    fold,
    uncover,
    want,
  };
}
