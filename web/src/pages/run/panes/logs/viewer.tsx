/** The log of one attempt, and all that can be done with it. */
import { useDebouncedValue } from '@mantine/hooks';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { type ReactNode, useMemo, useRef, useState } from 'react';
import { ErrorPanel, Loading } from '@/ui/panels';
import { useLasting } from '@/ui/time';
import { Foot } from './foot';
import { Lines } from './lines';
import { useLogKeys } from './log-keys';
import classes from './logs.module.css';
import { useMarks } from './marks';
import { useMatches } from './search';
import { useShown } from './shown';
import { type AttemptLog, attemptLog } from './source';
import type { LogStore } from './store';
import { Search, Tools } from './toolbar';
import { useLook } from './use-look';
import { useStore } from './use-store';
import type { ViewportHandle } from './viewport';
import { useWalk } from './walk';

export interface ViewerProps {
  run: string;
  step: string;
  attempt: number;
  /** Seconds since 1970 that times count from. */
  begin: number;
  /** Services that the step is known to have. */
  services: string[];
  /** Begin at the end: that is where a step tells why it failed. */
  fromEnd: boolean;
  /** Above the lines. */
  note?: ReactNode;
}

export function Viewer(props: ViewerProps) {
  const { run, step, attempt } = props;
  const log = useMemo(() => attemptLog(run, step, attempt), [run, step, attempt]);
  const store = useStore(log);
  const slow = useLasting(!store.ready);
  if (store.ready) return <Log {...props} log={log} store={store} />;
  if (store.error !== undefined) return <ErrorPanel error={store.error} retry={() => void store.retry()} />;
  return slow ? <Loading rows={8} height={12} /> : null;
}

type LogProps = ViewerProps & { log: AttemptLog; store: LogStore };

function Log({ log, store, step, attempt, begin, services: known, fromEnd, note }: LogProps) {
  const [service, chooseService] = useService();
  const [text, setText] = useState('');
  const [sought] = useDebouncedValue(text, 200);
  const viewport = useRef<ViewportHandle>(null);
  const field = useRef<HTMLInputElement>(null);
  const look = useLook();
  const marks = useMarks();
  const shown = useShown(log, store, service);
  const matches = useMatches(log, store, sought, service);
  const walk = useWalk({ log, store, shown, matches, sought, service, viewport, start: marks.marked?.from, fromEnd });
  const keys = useLogKeys({ walk, shown, marks, last: store.total, field });
  const services = [...new Set([...known, ...store.services])];
  const leaveSearch = () => {
    setText('');
    viewport.current?.element?.focus();
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: keys that reach it from the part that scrolls, which is in the order of tabs
    <div className={classes.log} style={widths(store.total, services)} onKeyDown={keys}>
      <div className={classes.bar}>
        <Search
          inputRef={field}
          text={text}
          onText={setText}
          matches={matches}
          place={walk.current === undefined ? -1 : matches.lines.indexOf(walk.current)}
          onStep={walk.step}
          onLeave={leaveSearch}
        />
        <Tools
          services={services}
          service={service}
          onService={chooseService}
          look={look}
          folding={shown.folding}
          raw={log.raw(service)}
          walk={walk}
          ended={store.ended}
        />
      </div>
      {note}
      <Lines
        ref={viewport}
        label={`Log of ${step}, attempt ${attempt}`}
        store={store}
        shown={shown}
        walk={walk}
        marks={marks}
        look={look}
        search={sought}
        begin={begin}
        services={service ? [] : services}
        attempt={attempt}
      />
      <Foot log={log} store={store} shown={shown.ofService} marked={marks.marked} attempt={attempt} />
    </div>
  );
}

/** Of the columns before the text, in characters. */
function widths(lines: number, services: string[]) {
  return {
    '--digits': String(lines).length,
    '--service-width': Math.min(16, Math.max(...services.map((each) => each.length), 1)),
  };
}

/** The service that the address names; none: all of them. */
function useService(): [service: string, choose: (service: string) => void] {
  const { service = '' } = useSearch({ from: '/shell/projects/$project/runs/$number' });
  const navigate = useNavigate({ from: '/projects/$project/runs/$number' });
  const choose = (to: string) =>
    void navigate({ replace: true, search: (before) => ({ ...before, service: to || undefined }) });
  return [service, choose];
}
