/** Where the time of an attempt went. */
import type { AttemptView } from '@/api';
import { placeOf } from '../../phases';

export interface Phase {
  name: string;
  seconds: number;
  /** 0 to 1, of all of them. */
  share: number;
}

export const MEANING: Record<string, string> = {
  wait: 'in the queue, until a runner took it',
  claim: 'from the queue to the runner',
  fetch: 'what the steps before it left comes to this machine',
  cache: 'looking whether it has been run like this before',
  checkout: 'the workspace is laid out',
  pull: 'images',
  create: 'networks and containers',
  run: 'its services',
  commit: 'what it left is stored',
  push: 'and goes to the server',
};

type Timed = Pick<AttemptView, 'queued_at' | 'started_at' | 'finished_at' | 'phase_began' | 'phases'>;

/** Return the phases of an attempt in their order, of one that goes on until `now`; unknown ones come last. */
export function phasesOf(attempt: Timed, now?: number): Phase[] {
  const times = now === undefined ? whole(attempt) : soFar(attempt, now);
  const names = Object.keys(times).sort((a, b) => placeOf(a) - placeOf(b) || a.localeCompare(b));
  const sum = names.reduce((all, name) => all + (times[name] ?? 0), 0);
  return names.map((name) => ({ name, seconds: times[name] ?? 0, share: sum > 0 ? (times[name] ?? 0) / sum : 0 }));
}

function whole({ queued_at, started_at, phases }: Timed): Record<string, number> {
  const wait = queued_at !== null && started_at !== null ? Math.max(0, started_at - queued_at) : undefined;
  return wait === undefined ? { ...phases } : { wait, ...phases };
}

/** Each phase lasted until the next one began. */
function soFar({ queued_at, phase_began }: Timed, now: number): Record<string, number> {
  const began = Object.entries(phase_began).sort(([, a], [, b]) => a - b);
  const all: [string, number][] = queued_at === null ? began : [['wait', queued_at], ...began];
  return Object.fromEntries(all.map(([name, at], index) => [name, Math.max(0, (all[index + 1]?.[1] ?? now) - at)]));
}

/** 0.7 ms, 41 ms, 2.05 s, 73 s: phases are short, and compared with each other. */
export function short(seconds: number): string {
  if (seconds < 0.001) return `${(seconds * 1000).toFixed(2)} ms`;
  if (seconds < 0.01) return `${(seconds * 1000).toFixed(1)} ms`;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  return seconds < 10 ? `${seconds.toFixed(2)} s` : `${Math.round(seconds).toLocaleString('en')} s`;
}
