/** Which step comes after which, and which one is looked at when nobody chose. Pure. */
import type { RunView, StepView } from '@/api';
import { depths } from './graph/bus';

/** Steps as the graph shows them: by rank, and within it as in the file. */
export function inOrder({ steps, edges }: Pick<RunView, 'steps' | 'edges'>): StepView[] {
  const depth = depths(edges);
  return steps.toSorted((a, b) => (depth.get(a.key) ?? 0) - (depth.get(b.key) ?? 0)); // sorts stay as they are at equals
}

/** What went wrong, and matters: failures that are allowed do not. */
export function isFailure(step: StepView): boolean {
  return step.outcome === 'errored' || (step.outcome === 'failed' && !step.allow_failure);
}

export const isWaiting = (step: StepView) => ['queued', 'waiting', 'preparing', 'backoff'].includes(step.state);

/** Not an environment that somebody else holds: that one comes free by itself. */
export const waitsForApproval = (step: StepView) => step.state === 'waiting' && step.approve.length > 0 && !step.holder;

/** The step to look at when none is named: the first failure, else what runs; undefined: the run as a whole. */
export function defaultStep(ordered: StepView[]): StepView | undefined {
  const failed = ordered.filter(isFailure).toSorted((a, b) => (a.finished_at ?? 0) - (b.finished_at ?? 0));
  return failed[0] ?? ordered.find((step) => step.state === 'running');
}

/** The step `by` places after the one named; the first (or last) when none is. */
export function stepAfter(ordered: StepView[], key: string | undefined, by: 1 | -1): StepView | undefined {
  const place = ordered.findIndex((step) => step.key === key);
  if (place < 0) return by > 0 ? ordered[0] : ordered.at(-1);
  return ordered[place + by];
}

/** The next failure after the step named, from the beginning again after the last one. */
export function failureAfter(ordered: StepView[], key: string | undefined): StepView | undefined {
  const place = ordered.findIndex((step) => step.key === key);
  return [...ordered.slice(place + 1), ...ordered.slice(0, place + 1)].find(isFailure);
}
