/** What is filled into the form that starts a run, as the API takes it; and what the API says against it, by field. */
import type { PipelineView, Problem, StartIn } from '@/api';
import { changedValues, type Edited, UNTOUCHED } from '@/ui/variables/values';

export interface Filled {
  ref: string;
  /** By name; what was not touched is not in it, and has its default. */
  inputs: Record<string, string>;
  variables: Edited;
  fresh: boolean;
}

export const EMPTY: Filled = { ref: '', inputs: {}, variables: UNTOUCHED, fresh: false };

/** Of the pipeline at this ref; what was filled in for another one is left out. */
export function bodyOf(filled: Filled, { inputs, variables }: Pick<PipelineView, 'inputs' | 'variables'>): StartIn {
  return {
    ref: filled.ref,
    inputs: Object.fromEntries(
      inputs.flatMap((input) => {
        const value =
          filled.inputs[input.name] ?? (input.type === 'boolean' && input.default === null ? 'false' : undefined);
        return value === undefined ? [] : [[input.name, value]];
      }),
    ),
    variables: changedValues(variables, filled.variables),
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
