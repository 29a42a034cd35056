/**
 * Shows those of very many rows that are in view. What it does costs as much for a million rows as for fifty, also when
 * rows come all the time: libraries that keep a place for each row go over all of them at each arrival.
 */
import {
  type ReactNode,
  type Ref,
  type RefObject,
  useImperativeHandle,
  useLayoutEffect,
  useMemo,
  useReducer,
  useRef,
  useState,
} from 'react';
import { Heights } from './heights';
import { Position } from './position';
import classes from './viewport.module.css';

const ROW = 20; // pixels

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
  const view = useView(scroller);
  // biome-ignore lint/correctness/useExhaustiveDependencies: known heights are those of these rows at this width
  const heights = useMemo(() => new Heights(ROW), [kind, wrap, view.width]);
  const [, render] = useReducer((count: number) => count + 1, 0);
  const [position] = useState(() => new Position(scroller, render));
  position.update({ heights, count, height: view.height });
  const { track, seen } = position;
  const [first, last] = position.range;

  useLayoutEffect(() => position.settle(() => wrap && measured(rows.current, heights), follow));
  useLayoutEffect(() => onRange(first, last), [first, last, onRange]);
  useImperativeHandle(ref, () => ({
    show: (row) => position.show(row),
    top: () => position.top(),
    element: scroller.current,
  }));
  const scrolled = () => {
    const atEnd = position.scrolled();
    if (atEnd !== undefined) onEnd(atEnd);
  };

  return (
    <div
      ref={scroller}
      className={classes.scroller}
      onScroll={scrolled}
      onScrollEnd={() => position.rested()}
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

/** The size of what can be seen; none before it is laid out. */
function useView(scroller: RefObject<HTMLElement | null>) {
  const [view, setView] = useState({ width: 0, height: 0 });
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const look = new ResizeObserver(() => setView({ width: element.clientWidth, height: element.clientHeight }));
    look.observe(element);
    return () => look.disconnect();
  }, [scroller]);
  return view;
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
