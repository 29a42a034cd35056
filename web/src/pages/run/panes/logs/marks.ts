/** The marked lines: they are in the address, so that it can be given to somebody else. */
import { useLocation, useNavigate, useSearch } from '@tanstack/react-router';
import { useCallback, useMemo } from 'react';

export interface Range {
  from: number;
  to: number;
}

/** Return the lines that two parameters of an address mean. */
export function rangeOf(line: string | undefined, to: string | undefined): Range | undefined {
  const [first, last] = [lineNumber(line), lineNumber(to)];
  if (first === undefined) return undefined;
  if (last === undefined) return { from: first, to: first };
  return { from: Math.min(first, last), to: Math.max(first, last) };
}

function lineNumber(text: string | undefined): number | undefined {
  return text && /^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined;
}

export interface Marks {
  marked: Range | undefined;
  has: (line: number) => boolean;
  /** Mark a line, or with `extend` all from the one marked before; marking the only one again takes the mark away. */
  mark: (line: number, extend?: boolean) => void;
}

export function useMarks(): Marks {
  const { line, to } = useSearch({ from: '/shell/projects/$project/runs/$number' });
  const navigate = useNavigate({ from: '/projects/$project/runs/$number' });
  const marked = useMemo(() => rangeOf(line, to), [line, to]);

  const mark = useCallback(
    (number: number, extend = false) => {
      void navigate({
        replace: true,
        resetScroll: false,
        search: ({ line: before, to: last, ...rest }) => {
          if (extend && before) return { ...rest, line: before, to: String(number) };
          return before === String(number) && !last && !extend ? rest : { ...rest, line: String(number) };
        },
      });
    },
    [navigate],
  );
  const has = (number: number) => marked !== undefined && number >= marked.from && number <= marked.to;
  return { marked, has, mark };
}

/** Return a function that tells the address of a line on the page that is shown. */
export function useAddresses(attempt: number): (from: number, to?: number) => string {
  const { pathname, search } = useLocation();
  const query = JSON.stringify({ ...search, line: undefined, to: undefined, tab: 'logs', attempt });
  return useCallback(
    (from, to) => {
      const parameters = new URLSearchParams(JSON.parse(query));
      parameters.set('line', String(from));
      if (to !== undefined && to !== from) parameters.set('to', String(to));
      return `${pathname}?${parameters}`;
    },
    [pathname, query],
  );
}
