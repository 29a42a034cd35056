import { expect, test } from 'vitest';
import { lastState, places, textOf, withLinks } from './text';

test.each([
  ['a\n', 'a'],
  ['a', 'a'],
  ['\n', ''],
  ['0%\r50%\r100%\n', '100%'],
  ['windows\r\n', 'windows'],
  ['bar\r', 'bar'],
  ['\r\r\n', ''],
])('the last state of %j is %j', (text, line) => {
  expect(lastState(text)).toBe(line);
});

test('bytes that are not UTF-8 are shown as such', () => {
  expect(textOf({ text: null, base64: btoa('a\xff\xfeb') })).toBe('a\ufffd\ufffdb');
  expect(textOf({ text: 'ä', base64: null })).toBe('ä');
});

const links = (text: string) => withLinks(text).flatMap((part) => (part.link === undefined ? [] : [part.link]));

test.each([
  ['see https://a.example/x?b=c&d=e, and', ['https://a.example/x?b=c&d=e']],
  ['(http://a.example/x).', ['http://a.example/x']],
  ['http://a.example/x_(y)', ['http://a.example/x_(y)']],
  ['"https://a.example"', ['https://a.example']],
  ['HTTPS://A.example', ['HTTPS://A.example']],
  ['javascript:alert(1) data:text/html,x ftp://a file:///etc vbscript://x', []],
  ['javascript://https://a.example', ['https://a.example']],
  ['https://', []],
  ['https://a.example/\u202egpj', ['https://a.example/']],
  [`https://a.example/${'x'.repeat(3000)}`, []],
])('links in %j', (text, found) => {
  expect(links(text)).toEqual(found);
  expect(
    withLinks(text)
      .map((part) => part.text)
      .join(''),
  ).toBe(text);
});

test('places of a text', () => {
  expect(places('Error: an ERROR', 'error')).toEqual([
    [0, 5],
    [10, 15],
  ]);
  expect(places('aaa', 'aa')).toEqual([[0, 2]]);
  expect(places('x', '')).toEqual([]);
  expect(places('İx', 'x')).toEqual([]);
});
