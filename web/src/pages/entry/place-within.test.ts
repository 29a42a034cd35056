import { expect, test } from 'vitest';
import { placeWithin } from './place-within';

const within = (next: string | undefined) => placeWithin(next, 'https://flow.example');

test.each(['/', '/runs?state=failed', '/projects/shop?tab=members#top', '/a//b'])('%s is within', (place) => {
  expect(within(place)).toBe(place);
});

test.each([
  undefined,
  '',
  'https://flow.example/runs',
  'https://evil.example/',
  '//evil.example/',
  '/\\evil.example/',
  '/\t/evil.example/',
  '//[',
  'javascript:alert(1)',
  'evil',
])('%j leads to the first page', (place) => {
  expect(within(place)).toBe('/');
});
