/** Variables as they are edited in a form, and what of them differs from what was there. Pure. */

export interface Row {
  /** Of the row, not of the variable: names are edited, too. */
  id: number;
  name: string;
  value: string;
  /** The run had it: only its value is edited. */
  given: boolean;
}

export function rowsOf(values: Record<string, string>): Row[] {
  return Object.entries(values)
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([name, value], id) => ({ id, name, value, given: true }));
}

/** With a row for a variable that the run did not have. */
export function withAnother(rows: Row[]): Row[] {
  return [...rows, { id: Math.max(-1, ...rows.map(({ id }) => id)) + 1, name: '', value: '', given: false }];
}

/** What to send: variables that are new or have another value. Nothing can be taken away from a run. */
export function changedVariables(before: Record<string, string>, rows: Row[]): Record<string, string> {
  return Object.fromEntries(
    rows.flatMap(({ name, value }) => (name.trim() && before[name.trim()] !== value ? [[name.trim(), value]] : [])),
  );
}
