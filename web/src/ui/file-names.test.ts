import { expect, test } from 'vitest';
import { above, parted, readable, shown } from './file-names';

test.each([
  ['plain name.txt', 'plain name.txt'],
  ['ünïcode 文', 'ünïcode 文'],
  ['a\u202egpj.exe', 'a\\u202egpj.exe'],
  ['a\nb\tc', 'a\\u000ab\\u0009c'],
  ['zero\u200bwidth', 'zero\\u200bwidth'],
  ['<img src=x>', '<img src=x>'],
])('%j is shown as %j', (name, text) => {
  expect(shown(name)).toBe(text);
});

test.each([
  ['a/b%20c', 'a/b c'],
  ['bad%FFname', 'bad\\xffname'],
  ['%E2%80%AEx', '\\u202ex'],
  ['100%', '100%'],
  ['%zz', '%zz'],
  ['ä', 'ä'],
])('path %j reads %j', (path, text) => {
  expect(readable(path)).toBe(text);
});

test('parts of paths', () => {
  expect(parted('a/b/c')).toEqual(['a/b/', 'c']);
  expect(parted('c')).toEqual(['', 'c']);
  expect(above('a/b/c')).toEqual(['a', 'a/b']);
  expect(above('a')).toEqual([]);
});
