import { describe, expect, it } from 'vitest';
import { duration, relativeTime } from './time';

describe('a duration', () => {
  it('is told in the two units that matter', () => {
    const told = [-1, 0, 0.49, 9.99, 10, 59.9, 60, 185, 3600, 7620, 86_400, 273_600].map(duration);
    expect(told.slice(0, 6)).toEqual(['0 s', '0.0 s', '0.4 s', '9.9 s', '10 s', '59 s']);
    expect(told.slice(6)).toEqual(['1 min 00 s', '3 min 05 s', '1 h 00 min', '2 h 07 min', '1 d 00 h', '3 d 04 h']);
  });
});

describe('a time', () => {
  const now = 1_800_000_000;
  const told = (ago: number) => relativeTime(now - ago, now);
  it('is told from now', () => {
    expect([0, 44, 45, 3599, 3600, 86_400 * 3].map(told)).toEqual([
      'just now',
      'just now',
      '1 min. ago',
      '60 min. ago',
      '1 hr. ago',
      '3 days ago',
    ]);
    expect(told(-7200)).toBe('in 2 hr.');
  });
  it('that a clock which is late takes for one to come has just been', () => {
    expect([-29, -31].map(told)).toEqual(['just now', 'in a moment']);
  });
});
