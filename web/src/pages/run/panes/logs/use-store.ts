/** The store of a log, open for as long as it is looked at, and the lines of one of its services. */
import { useEffect, useMemo, useReducer, useState, useSyncExternalStore } from 'react';
import { ServiceLines } from './service-lines';
import type { AttemptLog } from './source';
import { LogStore } from './store';

export function useStore(log: AttemptLog): LogStore {
  const store = useMemo(() => new LogStore(log), [log]);
  useEffect(() => {
    void store.open();
    return () => store.close();
  }, [store]);
  useSyncExternalStore(store.subscribe, store.getVersion);
  return store;
}

/** `service`: none is ''. The list that is returned grows in its place. */
export function useServiceLines(log: AttemptLog, store: LogStore, service: string): ServiceLines | undefined {
  const [, tell] = useReducer((count: number) => count + 1, 0);
  const [found, setFound] = useState<ServiceLines>();
  useEffect(() => {
    if (service === '') return setFound(undefined);
    const lines = new ServiceLines(log, store, service, tell);
    void lines.load();
    setFound(lines);
    return () => lines.close();
  }, [log, store, service]);
  return service === '' ? undefined : found;
}
