import type { WorkView } from '@/api';

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
