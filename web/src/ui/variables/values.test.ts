import { expect, it } from 'vitest';
import { changedValues, UNTOUCHED, withAnother } from './values';

it('only what differs is sent', () => {
  const given = { A: '1', B: '2' };
  expect(changedValues(given, UNTOUCHED)).toEqual({});
  expect(changedValues(given, { ...UNTOUCHED, values: { A: '1', B: '3' } })).toEqual({ B: '3' });
});

it('what was typed for a variable that is not there any more is left out', () => {
  expect(changedValues({ A: '1' }, { ...UNTOUCHED, values: { GONE: 'x' } })).toEqual({});
});

it('new ones have a name or a value', () => {
  const more = [
    { id: 1, name: ' C ', value: '' },
    { id: 2, name: '', value: 'x' },
    { id: 3, name: '', value: '' },
    { id: 4, name: 'A', value: '1' },
  ];
  expect(changedValues({ A: '1' }, { values: {}, more })).toEqual({ C: '', '': 'x' });
});

it('each row is told from the others', () => {
  const two = withAnother(withAnother(UNTOUCHED));
  expect(two.more.map(({ id }) => id)).toEqual([0, 1]);
  const [, second] = two.more;
  expect(withAnother({ values: {}, more: second ? [second] : [] }).more.map(({ id }) => id)).toEqual([1, 2]);
});
