/** Going through a log: to a line, from match to match, to the next error, along with what arrives. */
import { type RefObject, useCallback, useEffect, useRef, useState } from 'react';
import { notify } from '@/ui/told';
import { type Matches, nextError } from './search';
import type { Shown } from './shown';
import type { AttemptLog } from './source';
import type { LogStore } from './store';
import type { ViewportHandle } from './viewport';

interface WalkProps {
  log: AttemptLog;
  store: LogStore;
  shown: Shown;
  matches: Matches;
  sought: string;
  service: string;
  viewport: RefObject<ViewportHandle | null>;
  /** The line to begin at. */
  start: number | undefined;
  fromEnd: boolean;
}

export interface Walk {
  /** The match or error that was gone to last. */
  current: number | undefined;
  /** Whether the end stays in view while lines arrive. */
  follow: boolean;
  turnFollow: () => void;
  /** The reader has left the end, or is there. */
  onEnd: (atEnd: boolean) => void;
  toEnd: () => void;
  /** Show a line, whatever it is in. */
  reveal: (line: number) => void;
  /** To the next match or the one before. */
  step: (by: 1 | -1) => void;
  toError: () => Promise<void>;
  /** The first line in view. */
  top: () => number;
}

export function useWalk({ log, store, shown, matches, sought, service, viewport, start, fromEnd }: WalkProps): Walk {
  const { rows, uncover, ofService } = shown;
  const [current, setCurrent] = useState<number>();
  const [follow, setFollow] = useState(start === undefined && fromEnd);
  const [pending, setPending] = useState(start); // gone to when the rows are there: unfolded, found, or arrived
  useEffect(() => {
    if (pending === undefined || rows.count === 0 || !viewport.current) return;
    viewport.current.show(rows.rowOf(Math.min(pending, Math.max(store.total, 1))));
    setPending(undefined);
  }, [pending, rows, store, viewport]);

  const reveal = useCallback(
    (line: number) => {
      setFollow(false);
      uncover(line);
      setPending(line);
    },
    [uncover],
  );
  const show = useCallback(
    (line: number) => {
      setCurrent(line);
      reveal(line);
    },
    [reveal],
  );
  const top = useCallback(() => rows.lineAt(viewport.current?.top() ?? 0), [rows, viewport]);

  // The first match is shown as soon as it is known.
  const shownFor = useRef('');
  useEffect(() => {
    if (sought === '') shownFor.current = '';
    if (sought === shownFor.current || matches.lines.length === 0) return;
    shownFor.current = sought;
    const here = top();
    show(matches.lines.find((line) => line >= here) ?? (matches.lines[0] as number));
  }, [sought, matches, show, top]);

  const step = (by: 1 | -1) => {
    const { lines } = matches;
    if (lines.length === 0) return;
    const from = current ?? top() - by;
    const at = by > 0 ? lines.findIndex((line) => line > from) : lines.findLastIndex((line) => line < from);
    show(lines.at(by > 0 ? Math.max(at, 0) : at) as number);
  };
  const toEnd = () => {
    void ofService?.load(true);
    setFollow(true);
  };
  const turnFollow = () => (follow && !store.ended ? setFollow(false) : toEnd());
  const onEnd = (atEnd: boolean) => setFollow((before) => atEnd && (before || !store.ended));
  const toError = async () => {
    const found = await nextError(log, current ?? 0, service);
    if (found !== null) show(found);
    else notify({ message: 'No line of this log looks like an error.' });
  };
  return { current, follow, turnFollow, onEnd, toEnd, reveal, step, toError, top };
}
