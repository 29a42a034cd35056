import { expect, test } from 'vitest';
import { fileAt, kindOf, linked, pictureOf } from './places';

test.each([
  ['docs/readme.md', '../img/p.png', 'img/p.png'],
  ['docs/readme.md', './x.png', 'docs/x.png'],
  ['readme.md', 'a/b.png?raw=1#top', 'a/b.png'],
  ['docs/readme.md', '/img/p.png', 'img/p.png'],
  ['readme.md', 'a%20b+c/ü.md#part', 'a%20b%2Bc/%C3%BC.md'],
  ['readme.md', '%2e%2e/x', undefined],
  ['readme.md', '../x', undefined],
  ['readme.md', 'https://a.example/x', undefined],
  ['readme.md', 'javascript:alert(1)', undefined],
  ['readme.md', 'JaVaScRiPt:alert(1)', undefined],
  ['readme.md', 'data:image/svg+xml,x', undefined],
  ['readme.md', '//a.example/x', undefined],
  ['readme.md', '#top', undefined],
  ['readme.md', '', undefined],
])('in %s, %j means %s', (from, link, path) => {
  expect(linked(from, link)).toBe(path);
});

test('paths are encoded once more', () => {
  expect(fileAt({ run: 'R', commit: 'c0' }, 'odd/%FF&x=1')).toBe(
    '/api/v1/runs/R/workspace/file?commit=c0&path=odd%2F%25FF%26x%3D1',
  );
});

test.each([
  ['text/plain; charset=utf-8', 'a.html', 'html'],
  ['text/plain; charset=utf-8', 'README.MD', 'markdown'],
  ['text/plain; charset=utf-8', 'x.SVG', 'svg'],
  ['application/octet-stream', 'x.svg', 'binary'],
  ['image/png', 'a.html', 'image'],
  ['application/octet-stream', 'a.md', 'binary'],
])('%s named %s is %s', (type, name, kind) => {
  expect(kindOf(type, name)).toBe(kind);
});

test('nothing in a picture ends its address', () => {
  expect(pictureOf('<svg fill="#f00">ü%</svg>')).toBe(
    'data:image/svg+xml;charset=utf-8,%3Csvg%20fill%3D%22%23f00%22%3E%C3%BC%25%3C%2Fsvg%3E',
  );
});
