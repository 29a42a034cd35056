import { describe, expect, it } from 'vitest';
import type { EdgeView, StepView } from '@/api';
import { defaultStep, failureAfter, inOrder, stepAfter, waitsForApproval } from './order';

const step = (key: string, more: Partial<StepView> = {}) =>
  ({ key, name: key, state: 'done', outcome: 'succeeded', approve: [], attempts: [], ...more }) as unknown as StepView;
const edge = (source: string, target: string) =>
  ({ source, target, kind: 'success', state: 'taken', condition: null }) as EdgeView;
const failed = (key: string, finished_at: number, more: Partial<StepView> = {}) =>
  step(key, { outcome: 'failed', finished_at, ...more });

describe('the order of steps', () => {
  it('goes by rank, then as in the file', () => {
    const steps = ['deploy', 'lint', 'build', 'test', 'alone'].map((key) => step(key));
    const edges = [edge('build', 'test'), edge('lint', 'test'), edge('test', 'deploy'), edge('build', 'deploy')];
    expect(inOrder({ steps, edges }).map(({ key }) => key)).toEqual(['lint', 'build', 'alone', 'test', 'deploy']);
  });

  it('goes on and back, and stays at the ends', () => {
    const steps = ['a', 'b', 'c'].map((key) => step(key));
    expect(stepAfter(steps, 'a', 1)?.key).toBe('b');
    expect(stepAfter(steps, 'b', -1)?.key).toBe('a');
    expect(stepAfter(steps, 'c', 1)).toBeUndefined();
    expect(stepAfter(steps, undefined, 1)?.key).toBe('a');
    expect(stepAfter(steps, undefined, -1)?.key).toBe('c');
  });

  it('finds the next failure, and the first one after the last', () => {
    const steps = [
      step('a'),
      failed('b', 1),
      failed('c', 2, { allow_failure: true }),
      step('d', { outcome: 'errored' }),
    ];
    expect(failureAfter(steps, undefined)?.key).toBe('b');
    expect(failureAfter(steps, 'b')?.key).toBe('d');
    expect(failureAfter(steps, 'd')?.key).toBe('b');
    expect(failureAfter([step('a')], 'a')).toBeUndefined();
  });
});

describe('the step that is looked at first', () => {
  it('is the failure that came first', () => {
    expect(defaultStep([failed('late', 9), failed('early', 3), step('x', { state: 'running' })])?.key).toBe('early');
  });

  it('is what runs when nothing failed', () => {
    expect(defaultStep([step('a'), step('b', { state: 'running', outcome: null })])?.key).toBe('b');
  });

  it('is none when all went well, or failures are allowed', () => {
    expect(defaultStep([step('a'), failed('b', 1, { allow_failure: true })])).toBeUndefined();
  });
});

it('an environment that is held by another run needs no approval', () => {
  const waits = { state: 'waiting', approve: ['ada'], outcome: null } as Partial<StepView>;
  expect(waitsForApproval(step('a', waits))).toBe(true);
  expect(waitsForApproval(step('a', { ...waits, holder: {} as StepView['holder'] }))).toBe(false);
});
