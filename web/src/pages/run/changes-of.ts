/** Variables as they are edited in a form, and what of them differs from what was there. Pure. */

export interface Row {
  /** Of the row, not of the variable: names are edited, too. */
  id: number;
  name: string;
  value: string;
}

export function rowsOf(values: Record<string, string>): Row[] {
  return Object.entries(values)
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([name, value], id) => ({ id, name, value }));
}

/** What to send: variables that are new or have another value. Nothing can be taken away from a run. */
export function changedVariables(before: Record<string, string>, rows: Row[]): Record<string, string> {
  return Object.fromEntries(
    rows.flatMap(({ name, value }) => (name.trim() && before[name.trim()] !== value ? [[name.trim(), value]] : [])),
  );
}
