/** The log of one attempt, and all that can be done with it. */
import { useDebouncedValue, useHotkeys, useLocalStorage } from '@mantine/hooks';
import { useNavigate, useSearch } from '@tanstack/react-router';
import {
  type KeyboardEvent,
  type ReactNode,
  useCallback,
  useEffect,
  useMemo,
  useReducer,
  useRef,
  useState,
  useSyncExternalStore,
} from 'react';
import { ErrorPanel, Loading } from '@/ui/panels';
import { useLasting } from '@/ui/time';
import { Foot } from './foot';
import { useGroups } from './groups';
import { Line, type Times } from './line';
import classes from './logs.module.css';
import { useAddresses, useMarks } from './marks';
import { allRows, type Rows, someRows } from './rows';
import { useMatches } from './search';
import { ServiceLines } from './service-lines';
import { type AttemptLog, attemptLog } from './source';
import { LogStore } from './store';
import { Search, Tools } from './toolbar';
import { Viewport, type ViewportHandle } from './viewport';
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

const TIMES: Times[] = ['off', 'since', 'clock'];

export function Viewer({ run, step, attempt, begin, services: known, fromEnd, note }: ViewerProps) {
  const log = useMemo(() => attemptLog(run, step, attempt), [run, step, attempt]);
  const store = useStore(log);
  const { service: chosen = '' } = useSearch({ from: '/shell/projects/$project/runs/$number' });
  const navigate = useNavigate({ from: '/projects/$project/runs/$number' });
  const { marked, mark } = useMarks();
  const addressOf = useAddresses(attempt);
  const [times, setTimes] = useLocalStorage<Times>({
    key: 'flow-log-times',
    defaultValue: 'off',
    getInitialValueInEffect: false,
  });
  const [wrap, setWrap] = useLocalStorage({ key: 'flow-log-wrap', defaultValue: true, getInitialValueInEffect: false });
  const [text, setText] = useState('');
  const [sought] = useDebouncedValue(text, 200);
  const viewport = useRef<ViewportHandle>(null);
  const input = useRef<HTMLInputElement>(null);

  const groups = useGroups(log, store, store.total);
  const ofService = useServiceLines(log, store, chosen);
  const found = ofService?.numbers.length; // the list grows in its place
  const rows: Rows = useMemo(
    () => (ofService ? someRows(ofService.numbers, found) : allRows(store.total, groups.groups, groups.folded)),
    [ofService, found, store.total, groups.groups, groups.folded],
  );
  const matches = useMatches(log, store, sought, chosen);

  const walk = useWalk({
    log,
    store,
    rows,
    matches,
    sought,
    service: chosen,
    uncover: groups.uncover,
    viewport,
    start: marked?.from,
    fromEnd,
  });
  const { current, follow, setFollow, reveal } = walk;
  const leaveSearch = () => {
    setText('');
    viewport.current?.element?.focus();
  };
  const toEnd = () => {
    void ofService?.load(true);
    setFollow(true);
  };
  useHotkeys([
    ['e', () => void walk.toError()],
    ['End', toEnd],
    ['Home', () => reveal(rows.lineAt(0))],
  ]);
  useHotkeys([['mod+F', () => input.current?.select()]], []);
  const keys = (event: KeyboardEvent) => {
    const by = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (by === 0 || !(event.shiftKey || event.altKey) || event.target instanceof HTMLInputElement) return;
    event.preventDefault();
    const now = event.shiftKey && marked ? marked.to : (marked?.from ?? current ?? walk.top() - by);
    const line = Math.min(Math.max(1, now + by), store.total);
    mark(line, event.shiftKey && marked !== undefined);
    reveal(line);
  };

  const services = [...new Set([...known, ...store.services])];
  const onRange = useCallback(
    (first: number, last: number) => {
      const lines = Array.from({ length: Math.max(0, last - first + 1) }, (_, at) => rows.lineAt(first + at));
      store.want(lines, chosen);
      if (ofService && last >= ofService.numbers.length - 200) void ofService.load();
    },
    [rows, store, chosen, ofService],
  );
  const foldedAt = (line: number) => (groups.openers.has(line) ? groups.folded.has(line) : undefined);
  const slow = useLasting(!store.ready);

  if (store.error !== undefined && !store.ready)
    return <ErrorPanel error={store.error} retry={() => void store.open()} />;
  if (!store.ready) return slow ? <Loading rows={8} height={12} /> : null;
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: keys that reach it from the part that scrolls, which is in the order of tabs
    <div
      className={classes.log}
      style={{
        '--digits': String(store.total).length,
        '--service-width': Math.min(16, Math.max(...services.map((each) => each.length), 1)),
      }}
      onKeyDown={keys}
    >
      <div className={classes.bar}>
        <Search
          inputRef={input}
          text={text}
          onText={setText}
          matches={matches}
          place={current === undefined ? -1 : matches.lines.indexOf(current)}
          onStep={walk.step}
          onLeave={leaveSearch}
        />
        <Tools
          services={services}
          service={chosen}
          onService={(service) =>
            void navigate({ replace: true, search: (before) => ({ ...before, service: service || undefined }) })
          }
          times={times}
          onTimes={() => setTimes(TIMES[(TIMES.indexOf(times) + 1) % TIMES.length] ?? 'off')}
          wrap={wrap}
          onWrap={() => setWrap(!wrap)}
          folded={ofService || groups.groups.length === 0 ? undefined : groups.folded.size > 0}
          onFold={() => groups.foldAll(groups.folded.size === 0)}
          onError={() => void walk.toError()}
          raw={log.raw(chosen)}
          following={store.ended ? undefined : follow}
          onFollow={() => (follow && !store.ended ? setFollow(false) : toEnd())}
        />
      </div>
      {note}
      <div className={classes.body}>
        {store.total === 0 && (
          <p className={classes.nothing}>{store.ended ? 'It printed nothing.' : 'Nothing printed yet.'}</p>
        )}
        <Viewport
          ref={viewport}
          count={rows.count}
          wrap={wrap}
          follow={follow}
          onEnd={(atEnd) => setFollow((before) => atEnd && (before || !store.ended))}
          onRange={onRange}
          label={`Log of ${step}, attempt ${attempt}`}
          kind={`${chosen} ${[...groups.folded].join()}`}
          row={(row) => {
            const number = rows.lineAt(row);
            const line = store.line(number);
            return (
              <Line
                key={number}
                row={row}
                number={number}
                line={line}
                marked={marked !== undefined && number >= marked.from && number <= marked.to}
                current={number === current}
                search={sought}
                times={times}
                begin={begin}
                wrap={wrap}
                service={services.length > 1 && !chosen && line ? services.indexOf(line.service) : undefined}
                folded={ofService ? undefined : foldedAt(number)}
                address={addressOf(number)}
                onMark={mark}
                onFold={groups.fold}
              />
            );
          }}
        />
      </div>
      <Foot
        log={log}
        store={store}
        shown={ofService}
        marked={marked}
        addressOf={addressOf}
        onUnmark={() => marked && mark(marked.from)}
      />
    </div>
  );
}

function useStore(log: AttemptLog): LogStore {
  const store = useMemo(() => new LogStore(log), [log]);
  useEffect(() => {
    void store.open();
    return () => store.close();
  }, [store]);
  useSyncExternalStore(store.subscribe, store.getVersion);
  return store;
}

function useServiceLines(log: AttemptLog, store: LogStore, service: string): ServiceLines | undefined {
  const [, tell] = useReducer((count: number) => count + 1, 0);
  const [found, setFound] = useState<ServiceLines>();
  const ready = store.ready;
  useEffect(() => {
    if (service === '' || !ready) return setFound(undefined);
    const lines = new ServiceLines(log, store, service, tell);
    void lines.load();
    setFound(lines);
    return () => lines.close();
  }, [log, store, service, ready]);
  return service === '' ? undefined : found;
}
