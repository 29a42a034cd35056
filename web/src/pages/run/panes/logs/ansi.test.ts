import { describe, expect, test } from 'vitest';
import { parse, plain } from './ansi';

const E = '\x1b';
const readable = (colour: string) => `oklch(from ${colour} clamp(var(--ink-least), l, var(--ink-most)) c h)`;

describe('colours', () => {
  test.each([
    ['31', { color: 'var(--ansi-1)' }],
    ['97', { color: 'var(--ansi-15)' }],
    ['42', { backgroundColor: 'color-mix(in srgb, var(--ansi-2) 28%, var(--log-paper))' }],
    ['103', { backgroundColor: 'color-mix(in srgb, var(--ansi-11) 28%, var(--log-paper))' }],
    ['1;4;33', { color: 'var(--ansi-3)', fontWeight: 700, textDecoration: 'underline' }],
    ['38;5;9', { color: 'var(--ansi-9)' }],
    ['38;5;208', { color: readable('rgb(255 135 0)') }],
    ['48;5;255', { backgroundColor: 'rgb(238 238 238)', color: 'black' }],
    ['48;5;17', { backgroundColor: 'rgb(0 0 95)', color: 'white' }],
    ['38;2;1;2;3;48;5;17', { backgroundColor: 'rgb(0 0 95)', color: 'rgb(1 2 3)' }],
    ['31;48;5;17', { backgroundColor: 'rgb(0 0 95)', color: 'var(--ansi-1)' }],
    ['7;31', { color: 'var(--log-paper)', backgroundColor: 'var(--ansi-1)' }],
    ['38;2;1;2;3', { color: readable('rgb(1 2 3)') }],
    ['38:2::1:2:3', { color: readable('rgb(1 2 3)') }],
    ['38:2:1:2:3', { color: readable('rgb(1 2 3)') }],
    ['38;5;208;1', { color: readable('rgb(255 135 0)'), fontWeight: 700 }],
    ['7', { color: 'var(--log-paper)', backgroundColor: 'var(--log-ink)' }],
  ])('%s', (code, style) => {
    expect(parse(`${E}[${code}mx`)).toEqual([{ text: 'x', style }]);
  });

  test('end where they are switched off', () => {
    expect(parse(`a${E}[1;31mb${E}[22mc${E}[0md`)).toEqual([
      { text: 'a', style: undefined },
      { text: 'b', style: { color: 'var(--ansi-1)', fontWeight: 700 } },
      { text: 'c', style: { color: 'var(--ansi-1)' } },
      { text: 'd', style: undefined },
    ]);
  });

  test.each(['38;5;999', '38;2;1;2', '38;2;300;0;0', '38;9;1', '38', '999', '38;5;1:2'])('%s is no colour', (code) => {
    expect(parse(`${E}[${code}mx`).map((piece) => piece.text)).toEqual(['x']);
    expect(parse(`${E}[${code}mx`)[0]?.style?.color).toBeUndefined();
  });
});

describe('what is not a colour', () => {
  test.each([
    [`a${E}[2Jb${E}[10;10Hc`, 'abc'],
    [`a${E}]0;title\x07b`, 'ab'],
    [`${E}]8;;javascript:alert(1)${E}\\link${E}]8;;${E}\\`, 'link'],
    [`a${E}Pq#0;2${E}\\b`, 'ab'],
    ['a\x9b31mb\x9d0;t\x9cc', 'abc'],
    [`a${E}]no end`, 'ano end'],
    [`a${E}[`, 'a'],
    [`a${E}`, 'a'],
    ['a\0b\bc\x7fd', 'abcd'],
    ['a\tb', 'a\tb'],
    [`${E}(B${E}=x`, 'x'],
    [`${E}[?25lx${E}[>4;1my`, 'xy'],
    ['<script>alert(1)</script>', '<script>alert(1)</script>'],
  ])('%j leaves %j', (line, text) => {
    expect(
      parse(line)
        .map((piece) => piece.text)
        .join(''),
    ).toBe(text);
    expect(plain(line)).toBe(text);
  });

  test('long hostile lines end', () => {
    // One pass each; were it one from each beginning of a sequence, this would take minutes.
    for (const part of [`${E}]`, `${E}[`, `${E}[1;`, `${E}P${E}`, '\x9d', '\x9da', `${E}[38;5;`]) {
      expect(parse(part.repeat(200_000)).length).toBeLessThan(200_001);
    }
    expect(parse(`${E}[${'1;'.repeat(100_000)}31mx`)).toEqual([{ text: 'x', style: { fontWeight: 700 } }]);
  });
});
