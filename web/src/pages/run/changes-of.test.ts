import { expect, it } from 'vitest';
import { changedVariables, rowsOf } from './changes-of';

it('variables are edited in the order of their names', () => {
  expect(rowsOf({ b: '2', a: '1' }).map(({ name }) => name)).toEqual(['a', 'b']);
});

it('only what differs is sent', () => {
  const before = { A: '1', B: '2' };
  expect(changedVariables(before, rowsOf(before))).toEqual({});
  const rows = [...rowsOf({ A: '1', B: '3' }), { id: 8, name: ' C ', value: '' }, { id: 9, name: '', value: 'x' }];
  expect(changedVariables(before, rows)).toEqual({ B: '3', C: '' });
});
