/**
 * Shows those of very many rows that are in view. What it does costs as much for a million rows as for fifty, also when
 * rows come all the time: libraries that keep a place for each row go over all of them at each arrival.
 */
import {
  type ReactNode,
  type Ref,
  useCallback,
  useImperativeHandle,
  useLayoutEffect,
  useMemo,
  useReducer,
  useRef,
  useState,
} from 'react';
import { Heights } from './heights';
import { Track } from './track';
import classes from './viewport.module.css';

export const ROW = 20; // pixels
const BLOCK = 8; // rows are made in blocks, one more above and below the view: a small scroll finds them there

export interface ViewportHandle {
  show(row: number): void;
  element: HTMLDivElement | null;
  /** The first row that can be seen. */
  top(): number;
}

interface ViewportProps {
  count: number;
  /** Rows are as high as their content. */
  wrap: boolean;
  /** Stay at the end. */
  follow: boolean;
  /** The reader has left the end, or is there. */
  onEnd: (atEnd: boolean) => void;
  onRange: (first: number, last: number) => void;
  row: (row: number) => ReactNode;
  label: string;
  /** Another one: rows are others than they were. */
  kind: string;
  ref: Ref<ViewportHandle>;
}

export function Viewport({ count, wrap, follow, onEnd, onRange, row, label, kind, ref }: ViewportProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const rows = useRef<HTMLDivElement>(null);
  const target = useRef<number | undefined>(undefined); // a row on its way into view
  const [track] = useState(() => new Track());
  const offset = useRef(0); // changes more often than rows have to be rendered
  const rendered = useRef('');
  const [, render] = useReducer((count: number) => count + 1, 0);
  const [view, setView] = useState({ width: 0, height: 0 });
  // biome-ignore lint/correctness/useExhaustiveDependencies: known heights are those of these rows at this width
  const heights = useMemo(() => new Heights(ROW), [kind, wrap, view.width]);

  const whole = heights.offset(count);
  track.resize(whole, view.height);
  const seen = Math.min(offset.current, track.end);
  const [first, last] = rangeAt(seen, heights, view.height, count);
  rendered.current = `${first} ${last}`;

  const go = useCallback(
    (to: number) => {
      const place = track.place(to);
      const bar = scroller.current?.firstElementChild as HTMLElement | undefined;
      if (scroller.current && bar) {
        bar.style.height = `${track.height}px`; // now, not at the next rendering: the place may be behind the end of before
        scroller.current.scrollTop = place;
      }
      offset.current = Math.min(Math.max(0, to), track.end);
      render();
    },
    [track],
  );

  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const look = new ResizeObserver(() => setView({ width: element.clientWidth, height: element.clientHeight }));
    look.observe(element);
    return () => look.disconnect();
  }, []);

  useLayoutEffect(() => {
    const anchor = heights.rowAt(seen, count);
    const within = seen - heights.offset(anchor);
    const news = wrap && measured(rows.current, heights);
    track.resize(heights.offset(count), view.height);
    if (view.height === 0) return; // not laid out yet
    if (target.current !== undefined) {
      const at = heights.offset(target.current) - (view.height - heights.height(target.current)) / 2;
      if (!news && Math.abs(Math.min(Math.max(0, at), track.end) - seen) < 1) target.current = undefined;
      else go(at);
    } else if (follow) {
      if (news || seen !== track.end || offset.current !== seen) go(track.end);
    } else if (news) go(heights.offset(anchor) + within);
  });

  useLayoutEffect(() => onRange(first, last), [first, last, onRange]);

  useImperativeHandle(ref, () => ({
    show(to) {
      target.current = to;
      const now = offset.current;
      const at = heights.offset(to);
      if (view.height === 0) offset.current = at;
      else if (at >= now + ROW && at + heights.height(to) <= now + view.height - ROW) target.current = undefined;
      else go(at - view.height / 2);
    },
    top: () => heights.rowAt(offset.current + ROW / 2, count),
    element: scroller.current,
  }));

  const scrolled = () => {
    if (!scroller.current) return;
    const { scrollTop: place, clientHeight } = scroller.current;
    if (Math.abs(place - track.at) < 1) return; // we did that
    track.resize(whole, clientHeight);
    offset.current = track.moved(place, offset.current);
    target.current = undefined;
    if (rangeAt(offset.current, heights, clientHeight, count).join(' ') !== rendered.current) render();
    onEnd(offset.current >= track.end - ROW);
  };

  return (
    <div
      ref={scroller}
      className={classes.scroller}
      onScroll={scrolled}
      onScrollEnd={() => track.short && go(offset.current)}
      role="log"
      aria-live="off"
      aria-label={label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a part that scrolls must be reached by keyboard
      tabIndex={0}
    >
      <div className={classes.track} style={{ height: track.height }}>
        <div ref={rows} className={classes.rows} style={{ top: track.at + heights.offset(first) - seen }}>
          {Array.from({ length: Math.max(0, last - first + 1) }, (_, at) => row(first + at))}
        </div>
      </div>
    </div>
  );
}

/** Return the first and the last of the rows to be made. */
function rangeAt(offset: number, heights: Heights, height: number, count: number): [number, number] {
  const first = Math.floor(heights.rowAt(offset, count) / BLOCK) - 1;
  const last = Math.floor(heights.rowAt(offset + height, count) / BLOCK) + 2;
  return [Math.max(0, first * BLOCK), Math.min(count, last * BLOCK) - 1];
}

/** Look how high the rows on the page are; each of them has its number in `data-row`. Return whether that is news. */
function measured(rows: HTMLDivElement | null, heights: Heights): boolean {
  let news = false;
  for (const each of rows?.children ?? []) {
    const { row } = (each as HTMLElement).dataset;
    if (row !== undefined && heights.set(Number(row), (each as HTMLElement).offsetHeight)) news = true;
  }
  return news;
}
