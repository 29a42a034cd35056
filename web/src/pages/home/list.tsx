/** The list of the home page. A long one comes as a part of its own, with what keeps the most of it out of the document. */
import { useHotkeys } from '@mantine/hooks';
import { lazy, Suspense, useRef } from 'react';
import classes from './home.module.css';
import { Item } from './item';
import type { Row } from './rows';

const LongList = lazy(() => import('./long-list'));
const SHORT = 40; // rows

export function PipelineList({ rows }: { rows: Row[] }) {
  const list = useRef<HTMLDivElement>(null);
  useGoingThrough(list);
  return (
    <div ref={list} className={classes.list}>
      <div className={classes.columns} aria-hidden>
        <span>Pipeline</span>
        <span>Latest runs</span>
        <span>Newest run</span>
        <span className={classes.right}>Started</span>
        <span className={classes.right}>Median</span>
        <span className={classes.right}>Success</span>
      </div>
      {rows.length > SHORT ? (
        <Suspense fallback={<ShortList rows={rows.slice(0, SHORT)} />}>
          <LongList rows={rows} />
        </Suspense>
      ) : (
        <ShortList rows={rows} />
      )}
    </div>
  );
}

function ShortList({ rows }: { rows: Row[] }) {
  return (
    <ul>
      {rows.map((row) => (
        <li key={row.key}>
          <Item row={row} />
        </li>
      ))}
    </ul>
  );
}

/** `j` and `k` go to the next and the previous pipeline; Enter opens it, as of any link. */
function useGoingThrough(list: React.RefObject<HTMLElement | null>) {
  const go = (by: number) => () => {
    const links = [...(list.current?.querySelectorAll<HTMLElement>('[data-row]') ?? [])];
    const at = links.indexOf(document.activeElement as HTMLElement);
    const next = at === -1 ? links.find((link) => link.getBoundingClientRect().top > 0) : links[at + by];
    next?.focus();
    next?.scrollIntoView({ block: 'nearest' });
  };
  useHotkeys([
    ['j', go(1)],
    ['k', go(-1)],
  ]);
}
