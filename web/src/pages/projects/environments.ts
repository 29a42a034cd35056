import type { EnvironmentView, PipelineView } from '@/api';

export interface EnvironmentUse {
  /** As the file has it: it may hold `${{ … }}`. */
  name: string;
  /** `pipeline / step` */
  steps: string[];
  /** Who may let them act, if somebody must. */
  approve: string[];
}

/** The environments that pipelines name, in the order of the file, with the steps that act on them. */
export function environmentsOf(pipelines: Pick<PipelineView, 'name' | 'steps'>[]): EnvironmentUse[] {
  const found = new Map<string, EnvironmentUse>();
  for (const pipeline of pipelines) {
    for (const step of pipeline.steps) {
      if (step.environment === null) continue;
      const use = found.get(step.environment) ?? { name: step.environment, steps: [], approve: [] };
      use.steps.push(`${pipeline.name} / ${step.key}`);
      use.approve = [...new Set([...use.approve, ...step.approve])];
      found.set(step.environment, use);
    }
  }
  return [...found.values()];
}

export interface Environment {
  name: string;
  use: EnvironmentUse | undefined;
  state: EnvironmentView | undefined;
}

/** Those that pipelines name, then those that runs acted on and no pipeline names any more, or only with `${{ … }}`. */
export function allEnvironments(uses: EnvironmentUse[], states: EnvironmentView[]): Environment[] {
  const known = new Map(states.map((state) => [state.name, state]));
  const named = uses.map((use) => ({ name: use.name, use, state: known.get(use.name) }));
  const others = states.filter((state) => !uses.some((use) => use.name === state.name));
  return [...named, ...others.map((state) => ({ name: state.name, use: undefined, state }))];
}
