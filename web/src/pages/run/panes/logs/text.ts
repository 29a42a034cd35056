/** From what a service wrote to what is read: bytes to characters, progress bars to their last state, links, search marks. */
import type { LogText } from '@/api';

const decoder = new TextDecoder(); // what is not UTF-8 becomes U+FFFD

/** Return the characters of a piece of log. */
export function textOf(chunk: Pick<LogText, 'text' | 'base64'>): string {
  if (chunk.text !== null) return chunk.text;
  const bytes = Uint8Array.from(atob(chunk.base64 ?? ''), (each) => each.charCodeAt(0));
  return decoder.decode(bytes);
}

/** Return a line without its end. A carriage return begins it again: the last of its states is what stays on a terminal. */
export function lastState(text: string): string {
  const line = text.endsWith('\n') ? text.slice(0, -1) : text;
  if (!line.includes('\r')) return line;
  const states = line.split('\r');
  return states.findLast((state) => state !== '') ?? '';
}

export interface Part {
  text: string;
  /** Where a link leads. */
  link?: string;
}

const LINK = /\bhttps?:\/\/[^\s<>"'`\\^{|}\u007f-\u00a0\u200b-\u200f\u2028-\u202e\u2060-\u2069]+/gi;
const LONGEST_LINK = 2000;

/** Return a text in parts, links apart. Punctuation behind a link is not of it, nor is a bracket that it did not open. */
export function withLinks(text: string): Part[] {
  if (!text.includes('://')) return [{ text }];
  const parts: Part[] = [];
  let from = 0;
  for (const found of text.matchAll(LINK)) {
    const link = trimmed(found[0]);
    if (link.length > LONGEST_LINK || !URL.canParse(link)) continue;
    if (found.index > from) parts.push({ text: text.slice(from, found.index) });
    parts.push({ text: link, link });
    from = found.index + link.length;
  }
  if (from < text.length) parts.push({ text: text.slice(from) });
  return parts;
}

function trimmed(link: string): string {
  let end = link.length;
  let open = 0;
  for (const each of link) open += each === '(' ? 1 : each === ')' ? -1 : 0;
  for (; end > 0; end--) {
    const last = link[end - 1] as string;
    if (last === ')' && open < 0) open++;
    else if (!'.,;:!?]*_'.includes(last)) break;
  }
  return link.slice(0, end);
}

/** Return where `wanted` is in a text, upper and lower case being the same: [from, to) each. */
export function places(text: string, wanted: string): [number, number][] {
  if (wanted === '') return [];
  const low = text.toLowerCase();
  const sought = wanted.toLowerCase();
  if (low.length !== text.length) return []; // a letter whose small form is longer: nothing to point at exactly
  const found: [number, number][] = [];
  for (let at = low.indexOf(sought); at >= 0; at = low.indexOf(sought, at + sought.length))
    found.push([at, at + sought.length]);
  return found;
}

/** Return the name of the group that a line opens, or undefined. */
export function groupName(line: string): string | undefined {
  return line.startsWith('::group::') ? line.slice(9).trim() || 'group' : undefined;
}

export const endsGroup = (line: string) => line.startsWith('::endgroup::');
