import { expect, test } from 'vitest';
import { rangeOf } from './marks';

test.each([
  ['5', undefined, { from: 5, to: 5 }],
  ['5', '9', { from: 5, to: 9 }],
  ['9', '5', { from: 5, to: 9 }],
  ['9', 'x', { from: 9, to: 9 }],
  ['0', undefined, undefined],
  ['-1', '5', undefined],
  ['1e3', undefined, undefined],
  [undefined, '5', undefined],
])('lines %s to %s', (line, to, range) => {
  expect(rangeOf(line, to)).toEqual(range);
});
