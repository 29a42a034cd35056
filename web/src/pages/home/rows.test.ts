import { describe, expect, it } from 'vitest';
import type { PipelineGlance, ProjectGlance, RunState } from '@/api';
import { counts, percent, rowsOf } from './rows';

let clock = 0;
const run = (state: RunState) => {
  clock += 1;
  const finished_at = state === 'running' ? null : clock + 1;
  return { id: String(clock), number: clock, state, created_at: clock, finished_at } as PipelineGlance['runs'][number];
};
/** `states`: the newest first. */
const pipeline = (name: string, ...states: RunState[]) =>
  ({
    name,
    known: true,
    description: '',
    inputs: [],
    runs: states.map(run),
    median_seconds: null,
    success_rate: null,
    hold: null,
  }) as PipelineGlance;
const project = (name: string, ...pipelines: PipelineGlance[]) =>
  ({ name, branch: 'main', commit: 'c', errors: 0, problem: '', pipelines }) as ProjectGlance;

const server = [
  project('shop', pipeline('deliver', 'running', 'failed'), pipeline('nightly', 'succeeded', 'failed')),
  project('site', pipeline('release', 'cancelled', 'errored'), pipeline('fresh')),
  project('bare'),
];
const keys = (filter: Parameters<typeof rowsOf>[1]) => rowsOf(server, filter).map((row) => row.key);

describe('rows of the home page', () => {
  it('are all pipelines below their projects', () => {
    expect(keys({})).toEqual([
      'shop',
      'shop/deliver',
      'shop/nightly',
      'site',
      'site/release',
      'site/fresh',
      'bare',
      'bare/',
    ]);
  });
  it('are found by words in any order, of project and pipeline', () => {
    expect(keys({ q: 'DELIV shop' })).toEqual(['shop', 'shop/deliver']);
    expect(keys({ q: 'shop/night' })).toEqual(['shop', 'shop/nightly']);
    expect(keys({ q: 'bare' })).toEqual(['bare', 'bare/']);
    expect(keys({ q: 'nothing like it' })).toEqual([]);
  });
  it('are failing by the newest run that says something', () => {
    expect(keys({ state: 'failing' })).toEqual(['shop', 'shop/deliver', 'site', 'site/release']);
    expect(keys({ state: 'running' })).toEqual(['shop', 'shop/deliver']);
  });
  it('are those of one project', () => {
    expect(keys({ project: 'site' })).toEqual(['site', 'site/release', 'site/fresh']);
  });
  it('are counted by state', () => {
    expect(counts(server)).toEqual({ all: 4, failing: 2, running: 1 });
  });
});

describe('percent', () => {
  it('says 100 only of what never failed', () => {
    expect(percent(1)).toBe('100%');
    expect(percent(0.999)).toBe('99%');
  });
});
