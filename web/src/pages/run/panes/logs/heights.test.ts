import { expect, test } from 'vitest';
import { Heights } from './heights';

test('rows are where those above them end', () => {
  const heights = new Heights(20);
  expect(heights.set(3, 60)).toBe(true);
  expect(heights.set(3, 60)).toBe(false);
  expect(heights.set(1_000_000, 40)).toBe(true);
  let sum = 0;
  for (let row = 0; row < 10; row++) {
    expect(heights.offset(row)).toBe(sum);
    expect(heights.rowAt(sum, 2_000_000)).toBe(row);
    sum += heights.height(row);
    expect(heights.rowAt(sum - 1, 2_000_000)).toBe(row);
  }
  expect(heights.offset(1_000_001)).toBe(1_000_001 * 20 + 40 + 20);
});

test('rows become as usual again', () => {
  const heights = new Heights(20);
  heights.set(2, 50);
  heights.set(2, 20);
  expect(heights.offset(5)).toBe(100);
});

test('there is a row for every offset', () => {
  const heights = new Heights(20);
  expect(heights.rowAt(-5, 3)).toBe(0);
  expect(heights.rowAt(1e9, 3)).toBe(2);
  expect(heights.rowAt(0, 0)).toBe(0);
});
