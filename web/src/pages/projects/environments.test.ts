import { describe, expect, it } from 'vitest';
import type { EnvironmentView, PipelineView } from '@/api';
import { allEnvironments, environmentsOf } from './environments';

type Step = PipelineView['steps'][number];

const step = (key: string, environment: string | null, approve: string[] = []) =>
  ({ key, environment, approve }) as Step;
const state = (name: string): EnvironmentView => ({ name, holder: null, waiting: [], latest: null, deployed: null });

describe('environments', () => {
  it('are those that steps name, with who must agree to any of them', () => {
    const pipelines = [
      { name: 'release', steps: [step('build', null), step('deploy', 'prod', ['ann'])] },
      { name: 'nightly', steps: [step('reset', 'qa'), step('check', 'prod', ['ann', 'approvers'])] },
    ];
    expect(environmentsOf(pipelines)).toEqual([
      { name: 'prod', steps: ['release / deploy', 'nightly / check'], approve: ['ann', 'approvers'] },
      { name: 'qa', steps: ['nightly / reset'], approve: [] },
    ]);
  });

  it('are also those that runs acted on', () => {
    const [use] = environmentsOf([{ name: 'release', steps: [step('deploy', 'prod')] }]);
    const found = allEnvironments(use ? [use] : [], [state('old'), state('prod')]);
    expect(found.map((each) => [each.name, each.use?.steps, each.state?.name])).toEqual([
      ['prod', ['release / deploy'], 'prod'],
      ['old', undefined, 'old'],
    ]);
    expect(allEnvironments(use ? [use] : [], []).map((each) => each.state)).toEqual([undefined]);
  });
});
