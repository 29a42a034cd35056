import { expect, test } from 'vitest';
import { clock, since } from './times';

test.each([
  [0, '0:00.0'],
  [7.36, '0:07.3'],
  [67, '1:07.0'],
  [3727.31, '1:02:07.3'],
  [-1.5, '-0:01.5'],
])('%d seconds', (seconds, text) => {
  expect(since(seconds)).toBe(text);
});

test('the clock', () => {
  const at = new Date(2026, 0, 2, 3, 4, 5, 67);
  expect(clock(at.getTime() / 1000)).toBe('03:04:05.067');
});
