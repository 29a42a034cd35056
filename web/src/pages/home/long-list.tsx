/** Only the rows that can be seen are in the document: hundreds of pipelines have thousands of bars. */
import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { useLayoutEffect, useRef, useState } from 'react';
import classes from './home.module.css';
import { Item } from './item';
import type { Row } from './rows';

const HEIGHT = { project: 44, pipeline: 56, none: 56 }; // pixels, to begin with: the real ones are measured

export default function LongList({ rows }: { rows: Row[] }) {
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
  return (
    <ul ref={list} className={classes.long} style={{ height: virtual.getTotalSize() }}>
      {virtual.getVirtualItems().map((item) => (
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
  );
}
