import { expect, test } from 'vitest';
import { phasesOf, short } from './phases';

test('phases are in their order, waiting first, unknown ones last', () => {
  const phases = phasesOf({
    queued_at: 10,
    started_at: 12,
    finished_at: null,
    phase_began: {},
    phases: { run: 5, later: 1, fetch: 2 },
  });
  expect(phases.map((each) => [each.name, each.seconds, each.share])).toEqual([
    ['wait', 2, 0.2],
    ['fetch', 2, 0.2],
    ['run', 5, 0.5],
    ['later', 1, 0.1],
  ]);
});

test('what has not begun has none', () => {
  expect(phasesOf({ queued_at: 10, started_at: null, finished_at: null, phase_began: {}, phases: {} })).toEqual([]);
});

test('of one that goes on, each phase lasts until the next one, the last one until now', () => {
  const began = { fetch: 12, run: 20, pull: 15 };
  const phases = phasesOf({ queued_at: 10, started_at: 19, finished_at: null, phase_began: began, phases: {} }, 30);
  expect(phases.map((each) => [each.name, each.seconds, each.share])).toEqual([
    ['wait', 2, 0.1],
    ['fetch', 3, 0.15],
    ['pull', 5, 0.25],
    ['run', 10, 0.5],
  ]);
});

test.each([
  [0.00044, '0.44 ms'],
  [0.0026, '2.6 ms'],
  [0.1337, '134 ms'],
  [2.0511, '2.05 s'],
  [73.4, '73 s'],
])('%d is %s', (seconds, text) => {
  expect(short(seconds)).toBe(text);
});
