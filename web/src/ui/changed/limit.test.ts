import type { HunkData } from 'react-diff-view';
import { expect, test } from 'vitest';
import { limited } from './limit';

const hunk = (lines: number): HunkData => ({
  content: '@@ -1 +1 @@',
  oldStart: 1,
  newStart: 1,
  oldLines: 0,
  newLines: lines,
  changes: Array.from({ length: lines }, (_, at) => ({
    type: 'insert',
    isInsert: true,
    content: '',
    lineNumber: at + 1,
  })),
});

test.each([
  [[5, 5], 20, [5, 5], 0],
  [[5, 5], 7, [5, 2], 3],
  [[5, 5], 5, [5], 5],
  [[], 5, [], 0],
])('hunks of %j lines up to %d', (sizes, most, kept, left) => {
  const found = limited(sizes.map(hunk), most);
  expect(found.hunks.map((each) => each.changes.length)).toEqual(kept);
  expect(found.left).toBe(left);
});
