import { expect, test } from 'vitest';
import { fileAt, kindOf, linked } from './places';

test.each([
  ['docs/readme.md', '../img/p.png', 'img/p.png'],
  ['docs/readme.md', './x.png', 'docs/x.png'],
  ['readme.md', 'a/b.png?raw=1#top', 'a/b.png'],
  ['docs/readme.md', '/img/p.png', 'img/p.png'],
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
  ['text/plain; charset=utf-8', 'x.svg', 'text'],
  ['image/png', 'a.html', 'image'],
  ['application/octet-stream', 'a.md', 'binary'],
])('%s named %s is %s', (type, name, kind) => {
  expect(kindOf(type, name)).toBe(kind);
});
