import { expect, it } from 'vitest';
import { changedVariables, rowsOf, withAnother } from './changes-of';

it('variables are edited in the order of their names', () => {
  expect(rowsOf({ b: '2', a: '1' }).map(({ name }) => name)).toEqual(['a', 'b']);
});

it('only what differs is sent', () => {
  const before = { A: '1', B: '2' };
  expect(changedVariables(before, rowsOf(before))).toEqual({});
  const rows = [
    ...rowsOf({ A: '1', B: '3' }),
    { id: 8, name: ' C ', value: '', given: false },
    { id: 9, name: '', value: 'x', given: false },
  ];
  expect(changedVariables(before, rows)).toEqual({ B: '3', C: '' });
});

it('a new variable stays one while its name is that of another', () => {
  const [, added] = withAnother(rowsOf({ A: '1' }));
  expect(added).toEqual({ id: 1, name: '', value: '', given: false });
  expect(withAnother([]).map(({ id }) => id)).toEqual([0]);
});
