/** Keys of a log: to its ends, to errors, to the search, and marking lines by arrows. */
import { useHotkeys } from '@mantine/hooks';
import type { KeyboardEvent, RefObject } from 'react';
import type { Marks } from './marks';
import type { Shown } from './shown';
import type { Walk } from './walk';

interface LogKeysProps {
  walk: Walk;
  shown: Shown;
  marks: Marks;
  /** The number of the last line. */
  last: number;
  /** Where one types what is searched for. */
  field: RefObject<HTMLInputElement | null>;
}

/** Return what handles the keys that come from within the log; the others are those of the page. */
export function useLogKeys({ walk, shown, marks, last, field }: LogKeysProps) {
  useHotkeys([
    ['e', () => void walk.toError()],
    ['End', walk.toEnd],
    ['Home', () => walk.reveal(shown.rows.lineAt(0))],
  ]);
  useHotkeys([['mod+F', () => field.current?.select()]], []); // also while somebody types

  return (event: KeyboardEvent) => {
    const { marked, mark } = marks;
    const by = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (by === 0 || !(event.shiftKey || event.altKey) || event.target instanceof HTMLInputElement) return;
    event.preventDefault();
    const now = event.shiftKey && marked ? marked.to : (marked?.from ?? walk.current ?? walk.top() - by);
    const line = Math.min(Math.max(1, now + by), last);
    mark(line, event.shiftKey && marked !== undefined);
    walk.reveal(line);
  };
}
