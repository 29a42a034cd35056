/** What an attempt does, in the order in which it happens; `wait` is ours: from being ready to the first of the others. */
export const PHASES = [
  'wait',
  'claim',
  'fetch',
  'cache',
  'checkout',
  'pull',
  'create',
  'run',
  'commit',
  'push',
] as const;
export type Phase = (typeof PHASES)[number];

export const isPhase = (name: string): name is Phase => (PHASES as readonly string[]).includes(name);

/** The place of a phase among the others; those that are not known come last. */
export const placeOf = (name: string) => (isPhase(name) ? PHASES.indexOf(name) : PHASES.length);
