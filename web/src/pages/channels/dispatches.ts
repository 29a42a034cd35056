/** How entries of the log of a channel look, and when it is worth to look at it again. */
import type { DispatchView } from '@/api';
import type { Look } from '@/ui/states';
import { eventWord } from './events';

export function stateOf({ state, tries }: Pick<DispatchView, 'state' | 'tries'>): { look: Look; word: string } {
  if (state === 'sent') return { look: 'succeeded', word: 'sent' };
  if (state === 'failed') return { look: 'failed', word: 'given up' };
  return tries > 0 ? { look: 'errored', word: 'tried again' } : { look: 'waiting', word: 'waiting' };
}

export const titleOf = ({ test, event }: Pick<DispatchView, 'test' | 'event'>) => (test ? 'a test' : eventWord(event));

const FAR = 3600; // seconds; nobody looks at a page for that long

/** The next time at which something is to be sent, in seconds since 1970, that was not waited for yet. */
export function nextDue(
  dispatches: Pick<DispatchView, 'id' | 'state' | 'next_at'>[],
  waited: ReadonlySet<string>,
  now: number,
): { key: string; at: number } | undefined {
  return dispatches
    .flatMap(({ id, state, next_at }) =>
      state === 'waiting' && next_at !== null && next_at < now + FAR ? [{ key: `${id} ${next_at}`, at: next_at }] : [],
    )
    .filter(({ key }) => !waited.has(key))
    .sort((a, b) => a.at - b.at)[0];
}
