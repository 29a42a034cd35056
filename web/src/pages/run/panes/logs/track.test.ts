import { describe, expect, test } from 'vitest';
import { LONGEST, Track } from './track';

test('what fits is not changed', () => {
  const track = new Track(100_000, 500);
  expect(track.height).toBe(100_000);
  expect(track.moved(1234, 0)).toBe(1234);
  expect(track.moved(99_500, 1234)).toBe(99_500);
  expect(track.place(777)).toBe(777);
  expect(new Track(100, 500).moved(0, 0)).toBe(0);
});

describe('a million lines', () => {
  const whole = 20_000_000;

  test('fit into a bar that browsers accept', () => {
    expect(new Track(whole, 500).height).toBe(LONGEST);
  });

  test('begin and end where the bar does', () => {
    const track = new Track(whole, 500);
    expect(track.moved(LONGEST - 500, 0)).toBe(whole - 500);
    expect(track.moved(0, whole)).toBe(0);
    expect(track.place(whole - 500)).toBe(LONGEST - 500);
    expect(track.place(0)).toBe(0);
  });

  test('move by what a wheel moves', () => {
    const track = new Track(whole, 500);
    const bar = track.place(10_000_000);
    expect(track.moved(bar + 100, 10_000_000)).toBe(10_000_100);
    expect(track.moved(bar + 60, 10_000_100)).toBe(10_000_060);
  });

  test('go to the part where the bar is pulled', () => {
    const track = new Track(whole, 500);
    track.place(0);
    expect(track.moved((LONGEST - 500) / 2, 0)).toBeCloseTo((whole - 500) / 2, 0);
  });
});
