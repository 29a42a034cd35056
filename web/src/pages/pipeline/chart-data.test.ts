import { describe, expect, it } from 'vitest';
import type { RunBar } from '@/api';
import { chartData, roundDuration, ticks } from './chart-data';

describe('the chart of durations', () => {
  it('has the newest run at the right', () => {
    const bars = [
      { id: 'b', seconds: 2, state: 'failed' },
      { id: 'a', seconds: 1, state: 'succeeded' },
    ] as RunBar[];
    const data = chartData(bars);
    expect(data.runs.map((run) => run.id)).toEqual(['a', 'b']);
    expect([data.places, data.seconds, data.looks]).toEqual([
      [0, 1],
      [1, 2],
      ['succeeded', 'failed'],
    ]);
  });
  it.each([
    [3.5, ['0', '1 s', '2 s', '3 s']],
    [95, ['0', '30 s', '1 min', '1.5 min']],
    [40_000, ['0', '4 h', '8 h']],
    [0, ['0']],
  ])('has lines at round times up to %d seconds', (most, words) => {
    expect(ticks(most).map(roundDuration)).toEqual(words);
  });
});
