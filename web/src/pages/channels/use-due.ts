import { useEffect, useRef } from 'react';
import type { DispatchView } from '@/api';
import { nextDue } from './dispatches';

const GRACE = 2; // seconds that sending may take

/** Call `look` once after each time at which the server says that it sends something of these. */
export function useDue(dispatches: DispatchView[], look: () => unknown) {
  const waited = useRef(new Set<string>());
  useEffect(() => {
    const now = Date.now() / 1000;
    const next = nextDue(dispatches, waited.current, now);
    if (!next) return;
    const timer = setTimeout(
      () => {
        waited.current.add(next.key);
        look();
      },
      (Math.max(0, next.at - now) + GRACE) * 1000,
    );
    return () => clearTimeout(timer);
  }, [dispatches, look]);
}
