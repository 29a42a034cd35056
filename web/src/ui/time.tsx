/** Times and durations. The API speaks in seconds since 1970; people read "3 min ago", and the exact time on hovering. */
import { Tooltip } from '@mantine/core';
import { useEffect, useState, useSyncExternalStore } from 'react';

const SECOND = 1000;

interface Clock {
  watch: (watcher: () => void) => () => void;
  read: () => number;
}

const clocks = new Map<number, Clock>();

/** A clock whose functions stay the same: React subscribes again whenever they differ, and would never come to rest. */
function clockOf(every: number): Clock {
  const watchers = new Set<() => void>();
  let now = Date.now();
  let timer: ReturnType<typeof setInterval> | undefined;
  const tick = () => {
    now = Date.now();
    for (const each of watchers) each();
  };
  const watch = (watcher: () => void) => {
    watchers.add(watcher);
    if (timer === undefined) {
      now = Date.now();
      timer = setInterval(tick, every);
    }
    return () => {
      watchers.delete(watcher);
      if (watchers.size > 0) return;
      clearInterval(timer);
      timer = undefined;
    };
  };
  return { watch, read: () => now / SECOND };
}

/** The time now, in seconds, anew every `every` milliseconds; all who ask for the same share one timer. */
export function useNow(every = SECOND): number {
  let clock = clocks.get(every);
  if (!clock) {
    clock = clockOf(every);
    clocks.set(every, clock);
  }
  return useSyncExternalStore(clock.watch, clock.read);
}

/** 0.4 s, 12 s, 3 min 05 s, 2 h 07 min, 3 d 04 h */
export function duration(seconds: number): string {
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  if (seconds < 0) return '0 s';
  if (seconds < 10) return `${(Math.floor(seconds * 10) / 10).toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${two((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${two((seconds % 86_400) / 3600)} h`;
}

/** From a time to another one, or to now for as long as it lasts. */
export function Duration({ from, to }: { from: number | null | undefined; to?: number | null | undefined }) {
  if (from === null || from === undefined) return null;
  if (to === null || to === undefined) return <RunningDuration from={from} />;
  return <span className="numbers">{duration(to - from)}</span>;
}

function RunningDuration({ from }: { from: number }) {
  const now = useNow();
  return <span className="numbers">{duration(Math.max(0, Math.floor(now - from)))}</span>;
}

const STEPS: [limit: number, unit: Intl.RelativeTimeFormatUnit, seconds: number][] = [
  [3600, 'minute', 60],
  [86_400, 'hour', 3600],
  [86_400 * 14, 'day', 86_400],
  [86_400 * 60, 'week', 86_400 * 7],
  [86_400 * 365, 'month', 86_400 * 30.44],
  [Number.POSITIVE_INFINITY, 'year', 86_400 * 365.25],
];
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'always', style: 'short' });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'long' });

const LATE = 30; // seconds that the clock of `Ago` may be behind what has just happened

export function relativeTime(at: number, now: number): string {
  const ago = now - at;
  if (Math.abs(ago) < 45) return ago >= -LATE ? 'just now' : 'in a moment';
  const [, unit, seconds] = STEPS.find(([limit]) => Math.abs(ago) < limit) as (typeof STEPS)[number];
  return relative.format(-Math.round(ago / seconds), unit);
}

/** The exact time in the time zone of the browser. */
export const exactTime = (at: number) => exact.format(at * 1000);

export function Ago({ at }: { at: number | null | undefined }) {
  const clock = useNow(30 * SECOND);
  const [seen] = useState(() => Date.now() / SECOND); // what is newer than the clock's last tick is not to come
  const now = Math.max(clock, seen);
  if (at === null || at === undefined) return <span className="faint">never</span>;
  return (
    <Tooltip label={exactTime(at)}>
      <time dateTime={new Date(at * 1000).toISOString()}>{relativeTime(at, now)}</time>
    </Tooltip>
  );
}

/** Whether something has lasted longer than `milliseconds`: what is quick shows no sign of loading. */
export function useLasting(lasts: boolean, milliseconds = 250): boolean {
  const [lasting, setLasting] = useState(false);
  useEffect(() => {
    if (!lasts) {
      setLasting(false);
      return;
    }
    const timer = setTimeout(() => setLasting(true), milliseconds);
    return () => clearTimeout(timer);
  }, [lasts, milliseconds]);
  return lasting;
}
