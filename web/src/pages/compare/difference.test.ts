import { describe, expect, it } from 'vitest';
import type { StepCompared, StepSide } from '@/api';
import { isDifferent, lookOfSide, timeDifference } from './difference';

const side = (more: Partial<StepSide> = {}) =>
  ({ state: 'done', outcome: 'succeeded', reason: null, exit_code: 0, seconds: 1, ...more }) as StepSide;
const step = (before: StepSide | null, after: StepSide | null, redefined = false) =>
  ({ key: 'a', before, after, redefined }) as StepCompared;

describe('a step in two runs', () => {
  it('differs by how it ended and by what it is, not by how long it took', () => {
    expect(isDifferent(step(side(), side({ seconds: 99 })))).toBe(false);
    expect(isDifferent(step(side(), side({ outcome: 'failed' })))).toBe(true);
    expect(isDifferent(step(side({ exit_code: 1 }), side({ exit_code: 2 })))).toBe(true);
    expect(isDifferent(step(side(), side(), true))).toBe(true);
    expect(isDifferent(step(side(), null))).toBe(true);
  });

  it('that serves has not just succeeded', () => {
    expect(lookOfSide(side({ state: 'serving' }))).toBe('serving');
    expect(lookOfSide(side({ state: 'queued', outcome: null }))).toBe('waiting');
  });
});

describe('the difference of times', () => {
  it('is told with its sign', () => {
    expect(timeDifference(10, 14)).toEqual({ text: '+4.0 s', slower: true });
    expect(timeDifference(14, 10)).toEqual({ text: '−4.0 s', slower: false });
  });

  it('is not notable when it is small', () => {
    expect(timeDifference(10, 10.5).slower).toBeUndefined();
    expect(timeDifference(1000, 1004).slower).toBeUndefined();
  });

  it('is none when one of them is missing', () => {
    expect(timeDifference(null, 3).text).toBe('');
    expect(timeDifference(3, undefined).text).toBe('');
  });
});
