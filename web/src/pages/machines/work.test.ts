import { expect, it } from 'vitest';
import type { WorkView } from '@/api';
import { byRunner, reservedWords, stateOf, workKey } from './work';

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

const silent = {
  state: 'draining',
  closed: 'is draining',
  busy: 0,
  heard: false,
  seen_at: 1,
  embedded: false,
} as const;
const shown = (runner: Parameters<typeof stateOf>[0]) => [stateOf(runner).look, stateOf(runner).word];

it('does not complain of a runner that was drained and is gone', () => {
  expect(shown(silent)).toEqual(['skipped', 'drained']);
  expect(stateOf(silent).advice).toContain('activate it and start flow runner');
  expect(shown({ ...silent, heard: true })).toEqual(['waiting', 'draining']);
});

it('complains of one that fell silent with work', () => {
  expect(shown({ ...silent, busy: 1 })).toEqual(['errored', 'silent']);
  expect(stateOf({ ...silent, busy: 1 }).advice).toContain('will be lost');
  expect(shown({ ...silent, state: 'active' })).toEqual(['errored', 'silent']);
  expect(stateOf({ ...silent, state: 'active' }).advice).not.toContain('lost');
});

it('tells one that never came from one that is gone', () => {
  expect(shown({ ...silent, state: 'active', seen_at: null })).toEqual(['waiting', 'never seen']);
});

it('the one inside the server has no program of its own that ends', () => {
  const local = { ...silent, heard: true, embedded: true } as const;
  expect(shown(local)).toEqual(['skipped', 'drained']);
  expect(shown({ ...local, busy: 1 })).toEqual(['waiting', 'draining']);
});

it('says why one gets no work', () => {
  const there = { ...silent, heard: true };
  expect(shown({ ...there, state: 'cordoned', closed: 'is cordoned' })).toEqual(['skipped', 'cordoned']);
  const closed = { ...there, state: 'active', closed: 'is drained by the cluster' } as const;
  expect(shown(closed)).toEqual(['skipped', 'no work']);
  expect(stateOf(closed).advice).toBe('It is drained by the cluster.');
  expect(shown({ ...closed, closed: '' })).toEqual(['succeeded', 'ready']);
});

it('says what is reserved, and of how much', () => {
  const total = { cpus: 4, memory: 8 * 2 ** 30, generic: { GPU: 2, FPGA: 1 } };
  expect(reservedWords({ total, reserved: { cpus: 0, memory: 0, generic: {} } })).toBe('');
  const reserved = { cpus: 1.5, memory: 2 ** 30, generic: { GPU: 1 } };
  expect(reservedWords({ total, reserved })).toBe('1.5 of 4 CPUs, 1.0 GiB of 8.0 GiB, 1 of 2 GPU');
});
