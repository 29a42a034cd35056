import { describe, expect, it } from 'vitest';
import { nameOf, transportOf } from './address';

describe('transportOf', () => {
  it.each([
    ['https://example.org/team/shop.git', 'https'],
    ['HTTP://example.org/shop', 'https'],
    ['ssh://git@example.org:2222/shop.git', 'ssh'],
    ['git@example.org:team/shop.git', 'ssh'],
    ['example.org:shop', 'ssh'],
    ['/srv/git/shop', 'path'],
    ['shop', undefined],
    ['', undefined],
  ])('%s is reached by %s', (url, transport) => {
    expect(transportOf(url)).toBe(transport);
  });
});

describe('nameOf', () => {
  it.each([
    ['https://example.org/team/Shop.git', 'shop'],
    ['git@example.org:team/web_shop.git', 'web_shop'],
    ['git@example.org:shop', 'shop'],
    ['/srv/git/shop/', 'shop'],
    ['https://example.org/team/My Shop!', 'my-shop'],
    ['https://example.org/..a..b', 'a.b'],
    ['', ''],
  ])('%s gives %s', (url, name) => {
    expect(nameOf(url)).toBe(name);
  });
});
