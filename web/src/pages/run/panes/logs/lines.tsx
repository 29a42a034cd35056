/** The lines themselves: those in view, each with what is known of it. */
import type { Ref } from 'react';
import { Line } from './line';
import classes from './logs.module.css';
import { type Marks, useAddresses } from './marks';
import type { Shown } from './shown';
import type { LogStore } from './store';
import type { Look } from './use-look';
import { Viewport, type ViewportHandle } from './viewport';
import type { Walk } from './walk';

interface LinesProps {
  store: LogStore;
  shown: Shown;
  walk: Walk;
  marks: Marks;
  look: Look;
  search: string;
  /** Seconds since 1970 that times count from. */
  begin: number;
  /** Those that a line may be of; none: that need not be said. */
  services: string[];
  attempt: number;
  label: string;
  ref: Ref<ViewportHandle>;
}

export function Lines(props: LinesProps) {
  const { store, shown, walk, marks, look, services } = props;
  const addressOf = useAddresses(props.attempt);
  const row = (row: number) => {
    const number = shown.rows.lineAt(row);
    const line = store.line(number);
    return (
      <Line
        key={number}
        row={row}
        number={number}
        line={line}
        marked={marks.has(number)}
        current={number === walk.current}
        search={props.search}
        times={look.times}
        begin={props.begin}
        wrap={look.wrap}
        service={services.length > 1 && line ? services.indexOf(line.service) : undefined}
        folded={shown.foldedAt(number)}
        address={addressOf(number)}
        onMark={marks.mark}
        onFold={shown.fold}
      />
    );
  };
  return (
    <div className={classes.body}>
      {store.total === 0 && (
        <p className={classes.nothing}>{store.ended ? 'It printed nothing.' : 'Nothing printed yet.'}</p>
      )}
      <Viewport
        ref={props.ref}
        count={shown.rows.count}
        wrap={look.wrap}
        follow={walk.follow}
        onEnd={walk.onEnd}
        onRange={shown.want}
        label={props.label}
        kind={shown.kind}
        row={row}
      />
    </div>
  );
}
