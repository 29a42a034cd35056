/** The list of the home page. Only what can be seen is in the document: hundreds of pipelines have thousands of bars. */
import { useHotkeys } from '@mantine/hooks';
import { Link } from '@tanstack/react-router';
import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { useLayoutEffect, useRef, useState } from 'react';
import { useMay } from '@/app/session';
import classes from './home.module.css';
import { PipelineRow, ProjectHeading } from './row';
import type { Row } from './rows';

const HEIGHT = { project: 44, pipeline: 56, none: 56 }; // pixels, to begin with: the real ones are measured

export function PipelineList({ rows }: { rows: Row[] }) {
  const list = useRef<HTMLUListElement>(null);
  const [top, setTop] = useState(0);
  useLayoutEffect(() => setTop((list.current?.getBoundingClientRect().top ?? 0) + window.scrollY), []);
  const virtual = useWindowVirtualizer({
    count: rows.length,
    estimateSize: (place) => HEIGHT[(rows[place] as Row).kind],
    getItemKey: (place) => (rows[place] as Row).key,
    overscan: 10,
    scrollMargin: top,
  });
  useGoingThrough(list);
  const shown = virtual.getVirtualItems();
  return (
    <div className={classes.list}>
      <div className={classes.columns} aria-hidden>
        <span>Pipeline</span>
        <span>Latest runs</span>
        <span>Newest run</span>
        <span className={classes.right}>Started</span>
        <span className={classes.right}>Median</span>
        <span className={classes.right}>Success</span>
      </div>
      <ul ref={list} style={{ height: virtual.getTotalSize() }}>
        {shown.map((item) => (
          <li
            key={item.key}
            ref={virtual.measureElement}
            data-index={item.index}
            aria-setsize={rows.length}
            aria-posinset={item.index + 1}
            style={{ transform: `translateY(${item.start - top}px)` }}
          >
            <Item row={rows[item.index] as Row} />
          </li>
        ))}
      </ul>
    </div>
  );
}

function Item({ row }: { row: Row }) {
  const may = useMay();
  switch (row.kind) {
    case 'project':
      return <ProjectHeading project={row.project} shown={row.shown} />;
    case 'pipeline':
      return (
        <PipelineRow project={row.project} pipeline={row.pipeline} mayStart={may('run.start', row.project.name)} />
      );
    case 'none':
      return (
        <p className={classes.none}>
          No pipelines on {row.project.branch || 'its default branch'} yet. They are written in <code>.flow.yml</code>{' '}
          of the repository:{' '}
          <Link to="/projects/$project/pipelines/$pipeline/file" params={{ project: row.project.name, pipeline: '-' }}>
            try one out
          </Link>
          .
        </p>
      );
  }
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
