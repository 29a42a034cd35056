import type { RunnerInfo, WorkView } from '@/api';
import { bytes } from '@/ui/small';
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

type Known = Pick<RunnerInfo, 'state' | 'closed' | 'busy' | 'heard' | 'seen_at' | 'embedded'>;

interface State {
  look: Look;
  word: string;
  /** What that means, and what can be done, where the word is not enough. */
  advice?: string;
}

const NEVER_SEEN: State = {
  look: 'waiting',
  word: 'never seen',
  advice:
    'It was registered, and not heard of since. Start flow runner on its machine; if there is no key, add it again under this name.',
};
const SILENT = 'Nothing was heard of it for a minute or more: is its machine on, and does it reach this server?';

/** How a runner is. One that was drained and has nothing left ends its program: that it is silent then is as it should be. */
export function stateOf({ state, closed, busy, heard, seen_at, embedded }: Known): State {
  if (seen_at === null) return NEVER_SEEN;
  if (state === 'draining' && busy === 0 && embedded)
    return { look: 'skipped', word: 'drained', advice: 'It gets no work until it is activated.' };
  if (state === 'draining' && busy === 0 && !heard)
    return {
      look: 'skipped',
      word: 'drained',
      advice: 'It gets no work, and its program has ended. To use it again, activate it and start flow runner there.',
    };
  if (!heard)
    return { look: 'errored', word: 'silent', advice: busy > 0 ? `${SILENT} What it works on will be lost.` : SILENT };
  if (state === 'draining') return { look: 'waiting', word: 'draining' };
  if (state === 'cordoned')
    return {
      look: busy > 0 ? 'waiting' : 'skipped',
      word: 'cordoned',
      advice: 'It gets no work until it is activated.',
    };
  if (closed) return { look: busy > 0 ? 'waiting' : 'skipped', word: 'no work', advice: `It ${closed}.` };
  return busy > 0 ? { look: 'running', word: 'busy' } : { look: 'succeeded', word: 'ready' };
}

/** What steps have reserved of a machine, each kind of which something is reserved. */
export function reservedWords({ reserved, total }: Pick<RunnerInfo, 'reserved' | 'total'>): string {
  const kinds = Object.entries(total.generic ?? {});
  return [
    reserved.cpus ? `${reserved.cpus} of ${total.cpus} CPUs` : '',
    reserved.memory ? `${bytes(reserved.memory)} of ${bytes(total.memory ?? 0)}` : '',
    ...kinds.map(([kind, amount]) =>
      reserved.generic?.[kind] ? `${reserved.generic[kind]} of ${amount} ${kind}` : '',
    ),
  ]
    .filter(Boolean)
    .join(', ');
}
