import { expect, test } from 'vitest';
import type { EdgeView, RunView, StepView } from './generated/types.gen';
import { applyPatch } from './run';

const step = (key: string, state: string) => ({ key, state }) as StepView;
const edge = (source: string, target: string, state: string, condition: string | null = null) =>
  ({ source, target, kind: 'success', condition, state }) as EdgeView;
const view = (state: string, steps: StepView[], edges: EdgeView[]) => ({ id: 'r', state, steps, edges }) as RunView;

const before = view(
  'running',
  [step('a', 'running'), step('b', 'pending')],
  [edge('a', 'b', 'open'), edge('a', 'b', 'open', 'branch == "main"')],
);

test('what is new takes the place of what was, and the rest stays where it is', () => {
  const patch = view('failed', [step('b', 'done')], [edge('a', 'b', 'dead', 'branch == "main"')]);
  const after = applyPatch(before, { run: patch }, false);
  expect(after.state).toBe('failed');
  expect(after.steps.map(({ key, state }) => `${key} ${state}`)).toEqual(['a running', 'b done']);
  expect(after.edges.map(({ state }) => state)).toEqual(['open', 'dead']);
  expect(after.steps[0]).toBe(before.steps[0]); // React sees that it is the same
});

test('the first message of a connection has all of it', () => {
  const whole = view('running', [step('c', 'running')], []);
  expect(applyPatch(before, { run: whole }, true)).toBe(whole);
  expect(applyPatch(undefined, { run: whole }, false)).toBe(whole);
});
