/** Where findings are in a text. Lines and columns of the API count from 1, columns in characters; editors count UTF-16 units. */
import type { LintFinding } from '@/api';

export interface Range {
  from: number;
  to: number;
}

/** Return the place of a finding as offsets; what is beyond the text ends with it. */
export function rangeOf(
  text: string,
  { line, column, end_column }: Pick<LintFinding, 'line' | 'column' | 'end_column'>,
): Range {
  let start = 0;
  for (let count = 1; count < line; count += 1) {
    const end = text.indexOf('\n', start);
    if (end === -1) return { from: text.length, to: text.length };
    start = end + 1;
  }
  const end = text.indexOf('\n', start);
  const characters = Array.from(text.slice(start, end === -1 ? undefined : end));
  const units = (until: number) => characters.slice(0, Math.max(until - 1, 0)).join('').length;
  const from = start + units(column);
  return { from, to: Math.max(from, start + units(end_column)) };
}

/** Errors before warnings, then as they are in the files; those of one file are together. */
export function inOrder(findings: LintFinding[], first: string): LintFinding[] {
  const rank = (each: LintFinding) => [each.severity === 'error' ? 0 : 1, each.file === first ? 0 : 1] as const;
  return findings.toSorted((a, b) => {
    const [[errorA, fileA], [errorB, fileB]] = [rank(a), rank(b)];
    return errorA - errorB || fileA - fileB || a.file.localeCompare(b.file) || a.line - b.line || a.column - b.column;
  });
}
