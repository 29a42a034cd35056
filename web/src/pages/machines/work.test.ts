import { expect, it } from 'vitest';
import type { WorkView } from '@/api';
import { byRunner, stateOf, workKey } from './work';

const work = (step: string, runner: string): WorkView => ({
  run: '01M',
  number: 1,
  project: 'shop',
  pipeline: 'deliver',
  step,
  attempt: 1,
  state: runner ? 'launched' : 'queued',
  queued_at: 0,
  started_at: null,
  runner,
});

it('tells what each runner has', () => {
  const found = byRunner([work('a', 'north'), work('b', ''), work('c', 'north'), work('d', 'south')]);
  expect([...found].map(([name, all]) => [name, all.map((each) => each.step)])).toEqual([
    ['north', ['a', 'c']],
    ['south', ['d']],
  ]);
});

it('tells attempts apart', () => {
  expect(workKey(work('a', ''))).not.toBe(workKey({ ...work('a', ''), attempt: 2 }));
});

it('does not complain of a runner that was drained and is gone', () => {
  const silent = { state: 'draining', busy: 0, heard: false } as const;
  expect(stateOf(silent)).toEqual(['skipped', 'drained']);
  expect(stateOf({ ...silent, busy: 1 })).toEqual(['errored', 'silent']);
  expect(stateOf({ ...silent, state: 'active' })).toEqual(['errored', 'silent']);
  expect(stateOf({ ...silent, heard: true })).toEqual(['waiting', 'draining']);
});
