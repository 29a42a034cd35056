import { expect, test } from 'vitest';
import { changesOf } from './variables';

test('only what differs, by name', () => {
  expect(changesOf({ b: '1', a: 'x', same: 's' }, { a: 'y', c: '', same: 's' })).toEqual([
    { name: 'a', before: 'x', after: 'y' },
    { name: 'b', before: '1', after: undefined },
    { name: 'c', before: undefined, after: '' },
  ]);
});
