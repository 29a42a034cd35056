import { expect, it } from 'vitest';
import type { WorkView } from '@/api';
import { byRunner, workKey } from './work';

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
