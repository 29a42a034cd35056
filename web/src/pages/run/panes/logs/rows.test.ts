import { expect, test } from 'vitest';
import { allRows, groupsOf, someRows } from './rows';

test('groups are nested and closed', () => {
  expect(groupsOf([2, 4, 10], [6, 8], 12)).toEqual([
    { from: 2, to: 8, depth: 0 },
    { from: 4, to: 6, depth: 1 },
    { from: 10, to: 12, depth: 0 },
  ]);
  expect(groupsOf([], [1, 2], 3)).toEqual([]);
  expect(groupsOf([5], [3, 9], 9)).toEqual([{ from: 5, to: 9, depth: 0 }]);
});

test('all lines, with and without folding, are found again', () => {
  const groups = groupsOf([2, 4, 10], [6, 8], 12);
  for (const folded of [[], [2], [4], [2, 4], [10], [4, 10], [2, 10], [2, 4, 10]]) {
    const rows = allRows(13, groups, new Set(folded));
    const hidden = new Set(
      groups.filter((group) => folded.includes(group.from)).flatMap(({ from, to }) => span(from + 1, to)),
    );
    const shown = span(1, 13).filter((line) => !hidden.has(line));
    expect(span(0, rows.count - 1).map(rows.lineAt)).toEqual(shown);
    for (const line of span(1, 13)) {
      expect(rows.lineAt(rows.rowOf(line))).toBe(shown.findLast((each) => each <= line));
    }
  }
});

test('some lines', () => {
  const rows = someRows([3, 5, 9]);
  expect([0, 1, 2].map(rows.lineAt)).toEqual([3, 5, 9]);
  expect([1, 3, 4, 9, 20].map(rows.rowOf)).toEqual([0, 0, 0, 2, 2]);
});

const span = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => from + at);
