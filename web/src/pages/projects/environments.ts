import type { PipelineView } from '@/api';

export interface EnvironmentUse {
  /** As the file has it: it may hold `${{ … }}`. */
  name: string;
  /** `pipeline / step` */
  steps: string[];
}

/** The environments that pipelines name, in the order of the file, with the steps that act on them. */
export function environmentsOf(pipelines: Pick<PipelineView, 'name' | 'steps'>[]): EnvironmentUse[] {
  const found = new Map<string, string[]>();
  for (const pipeline of pipelines) {
    for (const step of pipeline.steps) {
      if (step.environment === null) continue;
      found.set(step.environment, [...(found.get(step.environment) ?? []), `${pipeline.name} / ${step.key}`]);
    }
  }
  return [...found].map(([name, steps]) => ({ name, steps }));
}
