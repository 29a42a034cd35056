import { describe, expect, it } from 'vitest';
import { nextDue, stateOf, titleOf } from './dispatches';

it('a dispatch that waits after a failure is told from one that is new', () => {
  const words = [
    { state: 'waiting', tries: 0 },
    { state: 'waiting', tries: 2 },
    { state: 'sent', tries: 1 },
    { state: 'failed', tries: 9 },
  ] as const;
  expect(words.map((each) => stateOf(each).word)).toEqual(['waiting', 'tried again', 'sent', 'given up']);
});

it('a test is called so', () => {
  expect(titleOf({ test: true, event: 'succeeded' })).toBe('a test');
  expect(titleOf({ test: false, event: 'still_failing' })).toBe('still failing');
});

describe('the log is looked at again', () => {
  const NOW = 1000;
  const waiting = (id: string, next_at: number | null) => ({ id, state: 'waiting' as const, next_at });

  it('when the next one is due', () => {
    expect(nextDue([waiting('a', 1200), waiting('b', 1100)], new Set(), NOW)).toEqual({ key: 'b 1100', at: 1100 });
  });

  it('once for each time: another time of the same one is another one', () => {
    const waited = new Set(['b 1100']);
    expect(nextDue([waiting('b', 1100)], waited, NOW)).toBeUndefined();
    expect(nextDue([waiting('b', 1160)], waited, NOW)?.at).toBe(1160);
  });

  it('for nothing that is settled, or far away', () => {
    const settled = { id: 'a', state: 'sent' as const, next_at: null };
    expect(nextDue([settled, waiting('b', NOW + 7200)], new Set(), NOW)).toBeUndefined();
  });
});
