/** Which lines are shown, and in which row each is: all of them, those of one service, or all but what is folded. */

export interface Rows {
  readonly count: number;
  /** The number of the line in a row. */
  lineAt(row: number): number;
  /** The row of a line; of one that is not shown: of the last one shown before it. */
  rowOf(line: number): number;
}

/** A part of the log with a name: its first line opens it, `to` is the last one of it. */
export interface Group {
  from: number;
  to: number;
  depth: number;
}

/** Return the groups that lines open and close, in order. What is not closed ends where the log ends by now. */
export function groupsOf(opening: readonly number[], closing: readonly number[], last: number): Group[] {
  const groups: Group[] = [];
  const open: Group[] = [];
  let next = 0;
  for (const from of [...opening, Number.POSITIVE_INFINITY]) {
    for (; next < closing.length && (closing[next] as number) < from; next++) {
      const group = open.pop();
      if (group) group.to = closing[next] as number;
    }
    if (from > last) break;
    const group = { from, to: last, depth: open.length };
    groups.push(group);
    open.push(group);
  }
  return groups;
}

/** All lines from 1 to `total`, without what is in the folded groups; the line that opens a group stays. */
export function allRows(total: number, groups: readonly Group[], folded: ReadonlySet<number>): Rows {
  const hidden: { from: number; to: number; before: number }[] = [];
  let before = 0;
  for (const { from, to } of groups) {
    const over = hidden.at(-1);
    if (!folded.has(from) || to <= from || (over && from <= over.to)) continue;
    hidden.push({ from: from + 1, to, before });
    before += to - from;
  }
  return {
    count: Math.max(0, total - before),
    lineAt: (row) => {
      const at = lastIndex(hidden, (each) => each.from - each.before <= row + 1);
      const each = hidden[at];
      return each ? row + 1 + each.before + each.to - each.from + 1 : row + 1;
    },
    rowOf: (line) => {
      const each = hidden[lastIndex(hidden, (one) => one.from <= line)];
      if (!each) return line - 1;
      return line <= each.to ? each.from - 2 - each.before : line - 1 - each.before - (each.to - each.from + 1);
    },
  };
}

/** Those of the lines whose numbers are given, in order. */
export function someRows(lines: ArrayLike<number>, count = lines.length): Rows {
  return {
    count,
    lineAt: (row) => lines[row] ?? 0,
    rowOf: (line) => {
      let low = 0;
      let high = count;
      while (low < high) {
        const middle = (low + high) >> 1;
        if ((lines[middle] as number) <= line) low = middle + 1;
        else high = middle;
      }
      return Math.max(0, low - 1);
    },
  };
}

/** Return the last place where `fits`, which is true up to there; -1: nowhere. */
function lastIndex<T>(list: readonly T[], fits: (each: T) => boolean): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (fits(list[middle] as T)) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
