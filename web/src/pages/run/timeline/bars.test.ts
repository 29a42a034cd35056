import { describe, expect, it } from 'vitest';
import type { AttemptView, RunView, StepView } from '@/api';
import { barOf, spanOf, ticksOf } from './bars';

const attempt = (more: Partial<AttemptView>) =>
  ({
    attempt: 1,
    queued_at: 100,
    started_at: null,
    finished_at: null,
    phase: '',
    phase_began: {},
    phases: {},
    ...more,
  }) as AttemptView;
const step = (...attempts: AttemptView[]) => ({ key: 'a', started_at: null, attempts }) as unknown as StepView;
const pieces = (one: AttemptView, of: StepView = step(one)) =>
  barOf(of, one)?.pieces.map(({ phase, from, to }) => [phase, from, to]);

describe('the bar of an attempt that has ended', () => {
  it('has the phases in their order, laid around the moment when the containers began', () => {
    const done = attempt({
      started_at: 110,
      finished_at: 121,
      phases: { run: 10, fetch: 1, create: 2, commit: 1, checkout: 1 },
    });
    expect(pieces(done)).toEqual([
      ['wait', 100, 106],
      ['fetch', 106, 107],
      ['checkout', 107, 108],
      ['create', 108, 110],
      ['run', 110, 120],
      ['commit', 120, 121],
    ]);
  });

  it('is laid back from its end when containers never began', () => {
    expect(pieces(attempt({ finished_at: 110, phases: { fetch: 1, pull: 4 } }))).toEqual([
      ['wait', 100, 105],
      ['fetch', 105, 106],
      ['pull', 106, 110],
    ]);
  });

  it('tells of phases that it does not know, and of none when nothing is known', () => {
    expect(pieces(attempt({ started_at: 100, finished_at: 103, phases: { run: 2, polish: 1 } }))).toEqual([
      ['run', 100, 102],
      ['other', 102, 103],
    ]);
    expect(pieces(attempt({ finished_at: 130 }))).toEqual([['other', 100, 130]]);
    expect(pieces(attempt({ queued_at: null }))).toBeUndefined();
  });
});

describe('the bar of an attempt that goes on', () => {
  it('shows what it does now without an end', () => {
    expect(pieces(attempt({ started_at: 104, phase: 'run' }))).toEqual([
      ['wait', 100, 104],
      ['run', 104, undefined],
    ]);
    const pulls = attempt({ phase: 'pull' });
    expect(pieces(pulls, { ...step(pulls), started_at: 103 } as StepView)).toEqual([
      ['wait', 100, 103],
      ['pull', 103, undefined],
    ]);
    expect(pieces(attempt({}))).toEqual([['wait', 100, undefined]]);
  });

  it('shows what it has done so far, each as long as it took', () => {
    const runs = attempt({ started_at: 108, phase: 'run', phase_began: { fetch: 103, run: 109, checkout: 105 } });
    expect(pieces(runs)).toEqual([
      ['wait', 100, 103],
      ['fetch', 103, 105],
      ['checkout', 105, 109],
      ['run', 109, undefined],
    ]);
  });

  it('goes on while a background step serves', () => {
    const up = attempt({ started_at: 101, phases: { create: 1, commit: 1 } });
    expect(pieces(up, { ...step(up), background: true } as StepView)).toEqual([
      ['create', 100, 101],
      ['commit', 101, 102],
      ['serve', 102, undefined],
    ]);
  });
});

describe('the axis', () => {
  const run = (more: Partial<RunView>) =>
    ({ created_at: 100, finished_at: null, steps: [], ...more }) as unknown as RunView;

  it('goes on for as long as the run does', () => {
    expect(spanOf(run({}), 150)).toEqual({ from: 100, to: 150 });
    expect(spanOf(run({ finished_at: 130 }), 150)).toEqual({ from: 100, to: 130 });
    expect(spanOf(run({}), 99)).toEqual({ from: 100, to: 101 });
  });

  it('has few round ticks, however long it is', () => {
    expect(ticksOf({ from: 0, to: 45 })).toEqual([0, 10, 20, 30, 40]);
    expect(ticksOf({ from: 0, to: 1 })).toEqual([0, 1]);
    for (const long of [3, 70, 1000, 9_999, 1e5, 1e7]) expect(ticksOf({ from: 0, to: long }).length).toBeLessThan(10);
  });
});
