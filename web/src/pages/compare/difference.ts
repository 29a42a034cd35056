/** What there is to say about a step in two runs. Pure. */
import type { StepCompared, StepSide } from '@/api';
import type { Look } from '@/ui/states';
import { duration } from '@/ui/time';

/** Durations that differ by less say nothing: machines are not that even. */
const NOTABLE = { seconds: 1, share: 0.1 };

export function lookOfSide({ state, outcome }: StepSide): Look {
  if (state === 'serving') return 'serving';
  if (outcome) return outcome;
  if (state === 'running') return 'running';
  return state === 'pending' ? 'pending' : 'waiting';
}

/** Whether it went another way, or is another step: times alone do not count. */
export function isDifferent({ before, after, redefined }: StepCompared): boolean {
  if (!before || !after) return true;
  return (
    redefined ||
    before.outcome !== after.outcome ||
    before.reason !== after.reason ||
    before.exit_code !== after.exit_code
  );
}

export interface TimeDifference {
  text: string;
  /** Of a notable difference. */
  slower?: boolean;
}

export function timeDifference(before: number | null | undefined, after: number | null | undefined): TimeDifference {
  if (before === null || before === undefined || after === null || after === undefined) return { text: '' };
  const more = after - before;
  const notable = Math.abs(more) >= NOTABLE.seconds && Math.abs(more) >= NOTABLE.share * before;
  const text = `${more < 0 ? '−' : '+'}${duration(Math.abs(more))}`;
  return notable ? { text, slower: more > 0 } : { text };
}
