import { describe, expect, it } from 'vitest';
import type { RunView, StepView } from '@/api';
import { placeOf } from './place';

const step = (key: string, more: object = {}) =>
  ({
    key,
    name: key,
    state: 'done',
    outcome: 'succeeded',
    approve: [],
    attempts: [{ attempt: 1 }],
    ...more,
  }) as unknown as StepView;
const run = (...steps: StepView[]) => ({ steps, edges: [] }) as unknown as RunView;

describe('the place that an address means', () => {
  it('is the overview when nothing is named and nothing went wrong', () => {
    expect(placeOf({}, run(step('a')))).toMatchObject({ view: 'graph', tab: 'overview', step: undefined });
    expect(placeOf({ tab: 'logs' }, run(step('a'))).tab).toBe('overview');
  });

  it('is the logs of what failed when nothing is named', () => {
    expect(placeOf({}, run(step('a'), step('b', { outcome: 'failed' })))).toMatchObject({
      tab: 'logs',
      step: { key: 'b' },
    });
  });

  it('is the latest attempt unless another one is named', () => {
    const tried = run(step('a', { attempts: [{ attempt: 1 }, { attempt: 2 }] }));
    expect(placeOf({ step: 'a' }, tried).attempt?.attempt).toBe(2);
    expect(placeOf({ step: 'a', attempt: '1' }, tried).attempt?.attempt).toBe(1);
    expect(placeOf({ step: 'a', attempt: '7' }, tried).attempt?.attempt).toBe(2);
  });

  it('is the details of a step that has not begun', () => {
    expect(placeOf({ step: 'a' }, run(step('a', { attempts: [] }))).tab).toBe('details');
    expect(placeOf({ step: 'a', tab: 'logs' }, run(step('a', { attempts: [] }))).tab).toBe('logs');
  });

  it('passes over what is not known', () => {
    expect(placeOf({ step: 'gone', tab: 'x', view: 'y' }, run(step('a')))).toMatchObject({
      view: 'graph',
      tab: 'overview',
    });
  });
});
