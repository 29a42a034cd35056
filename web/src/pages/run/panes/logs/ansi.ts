/**
 * Colours of terminals (SGR, ECMA-48) as pieces of text with a style. All other sequences and control characters are left
 * out: nothing that a program prints can move, hide or replace what is shown elsewhere.
 */
import type { CSSProperties } from 'react';

export interface Piece {
  text: string;
  style: CSSProperties | undefined;
}

interface Pen {
  ink?: string;
  paper?: string;
  bold?: boolean;
  dim?: boolean;
  italic?: boolean;
  underline?: boolean;
  strike?: boolean;
  inverse?: boolean;
  hidden?: boolean;
}

// CSI … final, strings (OSC, DCS, SOS, PM, APC) with their end, other escapes, and lone control characters but the tab.
// biome-ignore-start lint/suspicious/noControlCharactersInRegex: these are what is looked for
const SEQUENCE =
  /(?:\x1b\[|\x9b)([0-?]*)[ -/]*([@-~])|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\0-\x1f\x7f-\x9f]*(?:\x07|\x1b\\|\x9c)|\x1b[ -/]*[0-~]|[\0-\x08\x0a-\x1f\x7f-\x9f]/g;
const CONTROL = /[\0-\x08\x0a-\x1f\x7f-\x9f]/;
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: as above
const PARAMETERS = 64; // of one sequence; a hostile one has more
const BASIC = 16; // colours that follow the scheme of the page; the others are what they say

/** Return the pieces of a line, none of them empty. */
export function parse(line: string): Piece[] {
  if (!CONTROL.test(line)) return line === '' ? [] : [{ text: line, style: undefined }];
  const pieces: Piece[] = [];
  let pen: Pen = {};
  let style: CSSProperties | undefined;
  let from = 0;
  let text = '';
  const flush = () => {
    if (text !== '') pieces.push({ text, style });
    text = '';
  };
  for (const found of line.matchAll(SEQUENCE)) {
    text += line.slice(from, found.index);
    from = found.index + found[0].length;
    if (found[2] !== 'm' || /[<-?]/.test(found[1] ?? '')) continue;
    flush();
    pen = applied(pen, found[1] ?? '');
    style = styleOf(pen);
  }
  text += line.slice(from);
  flush();
  return pieces;
}

/** Return a line as it is read and copied: no colours, no control characters. */
export const plain = (line: string) => line.replace(SEQUENCE, '');

function applied(before: Pen, parameters: string): Pen {
  const codes = parameters.split(';', PARAMETERS);
  let pen = { ...before };
  for (let at = 0; at < codes.length; at++) {
    const [first = '', ...parts] = (codes[at] ?? '').split(':');
    const code = Number(first || 0);
    if (code === 0) pen = {};
    else if (code === 38 || code === 48) {
      // Written as 38:2::R:G:B in one parameter, or, as most programs do, as 38;2;R;G;B in several.
      const rest = parts.length > 0 ? parts : codes.slice(at + 1, at + 5);
      const [colour, used] = extended(rest.map(Number), parts.length > 4);
      if (parts.length === 0) at += used;
      if (code === 38) pen.ink = colour;
      else pen.paper = colour;
    } else simple(pen, code, parts);
  }
  return pen;
}

function simple(pen: Pen, code: number, parts: string[]) {
  if (code === 1) pen.bold = true;
  else if (code === 2) pen.dim = true;
  else if (code === 3) pen.italic = true;
  else if (code === 4) pen.underline = parts[0] !== '0';
  else if (code === 21) pen.underline = true;
  else if (code === 7) pen.inverse = true;
  else if (code === 8) pen.hidden = true;
  else if (code === 9) pen.strike = true;
  else if (code === 22) pen.bold = pen.dim = false;
  else if (code === 23) pen.italic = false;
  else if (code === 24) pen.underline = false;
  else if (code === 27) pen.inverse = false;
  else if (code === 28) pen.hidden = false;
  else if (code === 29) pen.strike = false;
  else if (code >= 30 && code <= 37) pen.ink = basic(code - 30);
  else if (code === 39) pen.ink = undefined;
  else if (code >= 40 && code <= 47) pen.paper = basic(code - 40);
  else if (code === 49) pen.paper = undefined;
  else if (code >= 90 && code <= 97) pen.ink = basic(code - 82);
  else if (code >= 100 && code <= 107) pen.paper = basic(code - 92);
}

const basic = (colour: number) => `var(--ansi-${colour})`;
const rgb = (red: number, green: number, blue: number) => `rgb(${red} ${green} ${blue})`;
const isByte = (value: number | undefined): value is number =>
  value !== undefined && Number.isInteger(value) && value >= 0 && value <= 255;

/** Return the colour that `5;N` or `2;R;G;B` means, and how many parameters say so. `spaced`: a colour space comes first. */
function extended(codes: number[], spaced: boolean): [string | undefined, number] {
  if (codes[0] === 5) return [isByte(codes[1]) ? palette(codes[1]) : undefined, 2];
  if (codes[0] !== 2) return [undefined, 0];
  const [red, green, blue] = codes.slice(spaced ? 2 : 1);
  return [isByte(red) && isByte(green) && isByte(blue) ? rgb(red, green, blue) : undefined, 4];
}

function palette(colour: number): string {
  if (colour < BASIC) return basic(colour);
  if (colour >= 232) {
    const grey = 8 + 10 * (colour - 232);
    return rgb(grey, grey, grey);
  }
  const level = (step: number) => (step === 0 ? 0 : 55 + 40 * step);
  const cube = colour - BASIC;
  return rgb(level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6));
}

function styleOf(pen: Pen): CSSProperties | undefined {
  const style: CSSProperties = {};
  if (pen.inverse) {
    style.color = pen.paper ?? 'var(--log-paper)';
    style.backgroundColor = pen.ink ?? 'var(--log-ink)';
  } else {
    if (pen.ink) style.color = readable(pen.ink);
    if (pen.paper) Object.assign(style, onPaper(pen.paper, pen.ink));
  }
  if (pen.bold) style.fontWeight = 700;
  if (pen.dim) style.opacity = 0.65;
  if (pen.italic) style.fontStyle = 'italic';
  if (pen.hidden) style.opacity = 0.25; // not hidden: who reads a log wants to see all of it
  if (pen.underline || pen.strike)
    style.textDecoration = [pen.underline && 'underline', pen.strike && 'line-through'].filter(Boolean).join(' ');
  return Object.keys(style).length > 0 ? style : undefined;
}

/** Colours of the scheme are made for letters: as a background a part of them is enough, and any letters can be read on it. */
function onPaper(paper: string, ink: string | undefined): CSSProperties {
  if (paper.startsWith('var')) return { backgroundColor: `color-mix(in srgb, ${paper} 28%, var(--log-paper))` };
  const [red = 0, green = 0, blue = 0] = paper.match(/\d+/g)?.map(Number) ?? [];
  const light = 0.3 * red + 0.59 * green + 0.11 * blue > 128;
  // Who chose both chose them for each other.
  return { backgroundColor: paper, color: ink ?? (light ? 'black' : 'white') };
}

/** Programs choose colours for a black terminal: the same hue, as light or dark as the page needs it. */
function readable(ink: string): string {
  return ink.startsWith('var') ? ink : `oklch(from ${ink} clamp(var(--ink-least), l, var(--ink-most)) c h)`;
}
