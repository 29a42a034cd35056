/** Hunks up to so many lines: a browser draws a few thousand at once, not a hundred thousand. */
import type { HunkData } from 'react-diff-view';

export function limited(hunks: HunkData[], most: number): { hunks: HunkData[]; left: number } {
  const kept: HunkData[] = [];
  let room = most;
  let left = 0;
  for (const hunk of hunks) {
    const changes = hunk.changes.slice(0, room);
    room -= changes.length;
    left += hunk.changes.length - changes.length;
    if (changes.length > 0) kept.push({ ...hunk, changes });
  }
  return { hunks: kept, left };
}
