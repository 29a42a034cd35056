/** Context variables as they are edited before a run starts: those that are given have other values, and new ones join them. */

interface NewVariable {
  /** Of the row on the screen, not of the variable: two rows may have one name while they are typed. */
  id: number;
  name: string;
  value: string;
}

export interface Edited {
  /** What was typed for given ones, by name. */
  values: Record<string, string>;
  more: NewVariable[];
}

export const UNTOUCHED: Edited = { values: {}, more: [] };

/** With a row for a variable that is not given. */
export function withAnother({ values, more }: Edited): Edited {
  return { values, more: [...more, { id: Math.max(-1, ...more.map(({ id }) => id)) + 1, name: '', value: '' }] };
}

/** What to send: given ones that have another value, and new ones, also without a name: the server says what is wrong then. */
export function changedValues(given: Record<string, string>, { values, more }: Edited): Record<string, string> {
  const changed = Object.entries(values).filter(([name, value]) => name in given && given[name] !== value);
  const added = more
    .map(({ name, value }): [string, string] => [name.trim(), value])
    .filter(([name, value]) => (name !== '' || value !== '') && given[name] !== value);
  return Object.fromEntries([...changed, ...added]);
}
