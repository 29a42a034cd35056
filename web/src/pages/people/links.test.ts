import { expect, it } from 'vitest';
import { added, leftOf } from './links';

const link = (sender: string, created_at = 1) => ({ network: 'matrix', sender, created_at });

it('a code has seconds left, and then none', () => {
  expect([leftOf(1600, 1000), leftOf(1600.2, 1600), leftOf(1600, 1600), leftOf(1600, 1700)]).toEqual([600, 1, 0, 0]);
});

it('a link that is new is told from those that were there', () => {
  expect(added([link('@a')], [link('@a'), link('@b')])).toEqual([link('@b')]);
  expect(added([link('@a')], [])).toEqual([]);
  expect(added([link('@a', 1)], [link('@a', 2)])).toEqual([link('@a', 2)]);
});
