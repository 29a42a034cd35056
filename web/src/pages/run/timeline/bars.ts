/** When which attempt did what, from what the API tells of it. Pure; times in seconds since the epoch. */
import type { AttemptView, RunView, StepView } from '@/api';
import { isPhase, PHASES, type Phase, placeOf as place } from '../phases';

export interface Piece {
  phase: Phase | 'serve' | 'other';
  from: number;
  /** Missing for as long as it lasts. */
  to?: number;
}

export interface Bar {
  attempt: AttemptView;
  from: number;
  to?: number;
  pieces: Piece[];
}

/**
 * The bar of an attempt; none for one that has not been offered yet.
 *
 * How long its phases took is told at its end. Until then it is known when those until now began; of one whose runner said
 * nothing, or was not heard, only when it was queued and when its containers began (`started_at`).
 */
export function barOf(step: StepView, attempt: AttemptView): Bar | undefined {
  const from = attempt.queued_at ?? attempt.started_at;
  if (from === null || from === undefined) return undefined;
  const to = attempt.finished_at ?? undefined;
  const phases = Object.entries(attempt.phases).sort(([a], [b]) => place(a) - place(b));
  const pieces = phases.length > 0 ? known(from, attempt, phases, step.background) : going(from, to, step, attempt);
  return { attempt, from, to, pieces: pieces.filter((piece) => piece.to === undefined || piece.to > piece.from) };
}

function known(from: number, attempt: AttemptView, phases: [string, number][], background: boolean): Piece[] {
  const before = phases.filter(([name]) => place(name) < PHASES.indexOf('run'));
  const total = (list: [string, number][]) => list.reduce((sum, [, seconds]) => sum + seconds, 0);
  // The containers began at `started_at`: all before it is laid back from there, all after it goes on.
  const end = (background ? null : attempt.finished_at) ?? from + total(phases);
  const run = attempt.started_at ?? Math.max(from, end - total(phases));
  let at = Math.max(from, attempt.started_at ? run - total(before) : run);
  const pieces: Piece[] = [{ phase: 'wait', from, to: at }];
  for (const [name, seconds] of phases) {
    pieces.push({ phase: isPhase(name) ? name : 'other', from: at, to: at + seconds });
    at += seconds;
  }
  // The result of a background step is taken when it is healthy; it stays up afterwards.
  if (background) pieces.push({ phase: 'serve', from: at, to: attempt.finished_at ?? undefined });
  return pieces;
}

function going(from: number, to: number | undefined, step: StepView, attempt: AttemptView): Piece[] {
  if (to !== undefined) return [{ phase: 'other', from, to }]; // it ended without telling: its runner is gone
  const begun = Object.entries(attempt.phase_began).sort(([, a], [, b]) => a - b);
  if (begun.length > 0) return soFar(from, begun);
  const claimed = attempt.started_at ?? (step.attempts.length === 1 ? step.started_at : null);
  if (claimed === null || claimed === undefined)
    return [{ phase: attempt.phase ? phaseOf(attempt.phase) : 'wait', from }];
  return [
    { phase: 'wait', from, to: claimed },
    { phase: phaseOf(attempt.phase || 'run'), from: claimed },
  ];
}

function soFar(from: number, begun: [string, number][]): Piece[] {
  const pieces = begun.map(([name, at], index) => ({ phase: phaseOf(name), from: at, to: begun[index + 1]?.[1] }));
  return [{ phase: 'wait', from, to: begun[0]?.[1] }, ...pieces];
}

const phaseOf = (name: string): Piece['phase'] => (isPhase(name) ? name : 'other');

export interface Span {
  from: number;
  to: number;
}

/** From the beginning of the run to its end, or to now; never nothing, so that one can divide by it. */
export function spanOf(run: RunView, now: number): Span {
  const from = run.created_at;
  const ends = run.steps.flatMap((step) => step.attempts.map(({ finished_at }) => finished_at ?? 0));
  const to = run.finished_at === null ? now : Math.max(run.finished_at, ...ends);
  return { from, to: Math.max(to, from + 1) };
}

const TICKS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400];

/** Round times since the beginning at which the axis has a line: at most `most` of them. */
export function ticksOf({ from, to }: Span, most = 8): number[] {
  const long = to - from;
  const step = TICKS.find((each) => long / each <= most) ?? Math.ceil(long / most / 86_400) * 86_400;
  return Array.from({ length: Math.floor(long / step) + 1 }, (_, count) => count * step);
}
