import type { RunnerInfo, WorkView } from '@/api';
import type { Look } from '@/ui/states';

/** Whether it waits for a runner still. */
export const isWaiting = (work: WorkView) => work.state === 'queued';

export const workKey = (work: WorkView) => `${work.run} ${work.step} ${work.attempt}`;

export function workWords(work: WorkView): string {
  return work.state === 'launched' ? 'running' : work.state === 'leased' ? 'being prepared' : 'waiting';
}

/** What each runner has, by its name. */
export function byRunner(work: WorkView[]): Map<string, WorkView[]> {
  const found = new Map<string, WorkView[]>();
  for (const each of work) {
    if (each.runner) found.set(each.runner, [...(found.get(each.runner) ?? []), each]);
  }
  return found;
}

/** How a runner is. One that was drained and has nothing left ends its program: that it is silent then is as it should be. */
export function stateOf({ state, busy, heard }: Pick<RunnerInfo, 'state' | 'busy' | 'heard'>): [Look, string] {
  if (!heard) return state === 'draining' && busy === 0 ? ['skipped', 'drained'] : ['errored', 'silent'];
  if (state === 'draining') return ['waiting', 'draining'];
  return busy > 0 ? ['running', 'busy'] : ['succeeded', 'ready'];
}
