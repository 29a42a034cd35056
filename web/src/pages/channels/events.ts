/** What people can be told of, in the order of how often one wants it. */
import type { NewsKind } from '@/api';

export const EVENTS: readonly { value: NewsKind; label: string; about: string }[] = [
  { value: 'failed', label: 'failed', about: 'a step failed; not again while it stays red' },
  { value: 'still_failing', label: 'still failing', about: 'it failed again, right after a failure' },
  { value: 'errored', label: 'errored', about: 'the server, a runner or the engine could not do it' },
  { value: 'recovered', label: 'recovered', about: 'well again, after a red run of the branch' },
  { value: 'succeeded', label: 'succeeded', about: 'it ended well, recoveries too' },
  { value: 'approval', label: 'waiting for approval', about: 'a step goes on when somebody approves it' },
  { value: 'started', label: 'started', about: 'a run began' },
  { value: 'cancelled', label: 'cancelled', about: 'somebody cancelled it' },
  { value: 'finished', label: 'finished', about: 'every end, in whatever way' },
  { value: 'node_lost', label: 'machine lost', about: 'a machine with runners is not heard of any more' },
];

export const eventWord = (kind: NewsKind) => EVENTS.find(({ value }) => value === kind)?.label ?? kind;

/** In the order in which they are offered, whatever the order in which they were chosen. */
export const inOrder = (kinds: readonly NewsKind[]) =>
  EVENTS.map(({ value }) => value).filter((value) => kinds.includes(value));
