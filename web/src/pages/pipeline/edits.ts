/** Texts that somebody edits, kept for as long as the tab of the browser is: going away and coming back loses nothing. */
import { useCallback, useState } from 'react';

export type Edits = Record<string, string>;

const place = (project: string, ref: string) => `flow-edits:${project}:${ref}`;

function read(key: string): Edits {
  try {
    const found = JSON.parse(sessionStorage.getItem(key) ?? '{}');
    return found && typeof found === 'object' ? found : {};
  } catch {
    return {}; // not ours, or no storage allowed
  }
}

function write(key: string, edits: Edits) {
  try {
    if (Object.keys(edits).length > 0) sessionStorage.setItem(key, JSON.stringify(edits));
    else sessionStorage.removeItem(key);
  } catch {
    // full, or not allowed: the text is still on the screen
  }
}

/** The edited files of a project at a ref by path, and a function that changes one; without a text it is as in the repository. */
export function useEdits(project: string, ref: string): [Edits, (path: string, text: string | undefined) => void] {
  const key = place(project, ref);
  const [state, setState] = useState({ key, edits: read(key) });
  const current = state.key === key ? state : { key, edits: read(key) };
  if (current !== state) setState(current);
  const change = useCallback(
    (path: string, text: string | undefined) =>
      setState((before) => {
        const { [path]: _, ...others } = before.edits;
        const edits = text === undefined ? others : { ...others, [path]: text };
        write(before.key, edits);
        return { ...before, edits };
      }),
    [],
  );
  return [current.edits, change];
}
