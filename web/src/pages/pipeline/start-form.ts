/** What is filled into the form that starts a run, as the API takes it; and what the API says against it, by field. */
import type { Input, Problem, StartIn } from '@/api';

export interface Variable {
  /** Of the row on the screen, not of the variable: two rows may have one name while they are typed. */
  id: number;
  name: string;
  value: string;
}

export interface Filled {
  ref: string;
  /** By name; what was not touched is not in it, and has its default. */
  inputs: Record<string, string>;
  /** Those of the pipeline that are to be different, by name. */
  declared: Record<string, string>;
  more: Variable[];
  fresh: boolean;
}

export const EMPTY: Filled = { ref: '', inputs: {}, declared: {}, more: [], fresh: false };

/** `inputs`: those of the pipeline at this ref; what was filled in for those of another one is left out. */
export function bodyOf(filled: Filled, inputs: Input[]): StartIn {
  const named = filled.more.filter((each) => each.name.trim() !== '' || each.value !== '');
  return {
    ref: filled.ref,
    inputs: Object.fromEntries(
      inputs.flatMap((input) => {
        const value =
          filled.inputs[input.name] ?? (input.type === 'boolean' && input.default === null ? 'false' : undefined);
        return value === undefined ? [] : [[input.name, value]];
      }),
    ),
    variables: { ...filled.declared, ...Object.fromEntries(named.map((each) => [each.name.trim(), each.value])) },
    fresh: filled.fresh,
  };
}

export interface FieldErrors {
  inputs: Record<string, string>;
  variables: Record<string, string>;
  /** Of no field that is shown. */
  others: string[];
}

export function errorsOf(problem: Problem | undefined): FieldErrors {
  const found: FieldErrors = { inputs: {}, variables: {}, others: [] };
  for (const { where, message } of problem?.errors ?? []) {
    const [, kind, name] = /^body\.(inputs|variables)\.(.*)$/s.exec(where) ?? [];
    if (kind === 'inputs' || kind === 'variables') {
      const before = found[kind][name as string];
      found[kind][name as string] = before ? `${before} ${message}` : message;
    } else {
      found.others.push(`${where}: ${message}`);
    }
  }
  return found;
}
