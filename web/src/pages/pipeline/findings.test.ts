import { describe, expect, it } from 'vitest';
import type { LintFinding } from '@/api';
import { inOrder, rangeOf } from './findings';

const TEXT = 'a: 1\nbä😀: {succes: [c]}\n';
const at = (line: number, column: number, end_column: number) => rangeOf(TEXT, { line, column, end_column });

describe('the place of a finding', () => {
  it('is the word that is meant', () => {
    const { from, to } = at(2, 7, 13);
    expect(TEXT.slice(from, to)).toBe('succes');
  });
  it('counts characters as people do', () => {
    expect(TEXT.slice(at(2, 1, 4).from, at(2, 1, 4).to)).toBe('bä😀');
  });
  it('stays in its line, and in the text', () => {
    expect(at(1, 3, 99)).toEqual({ from: 2, to: 4 });
    expect(at(9, 1, 2)).toEqual({ from: TEXT.length, to: TEXT.length });
    expect(at(1, 4, 1)).toEqual({ from: 3, to: 3 });
  });
});

describe('the list of findings', () => {
  it('has errors first, then those of the file that is shown', () => {
    const finding = (severity: LintFinding['severity'], file: string, line: number) =>
      ({ severity, file, line, column: 1 }) as LintFinding;
    const all = [
      finding('warning', 'a', 1),
      finding('error', 'b', 2),
      finding('error', 'a', 3),
      finding('error', 'a', 1),
    ];
    expect(inOrder(all, 'a').map((each) => `${each.severity} ${each.file}${each.line}`)).toEqual([
      'error a1',
      'error a3',
      'error b2',
      'warning a1',
    ]);
  });
});
