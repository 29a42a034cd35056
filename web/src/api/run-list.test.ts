import type { InfiniteData } from '@tanstack/react-query';
import { describe, expect, it } from 'vitest';
import type { PageRunSummary, RunSummary } from './generated/types.gen';
import { fits, statesOf, withRun } from './run-list';

const run = (id: string, more: Partial<RunSummary> = {}) =>
  ({
    id,
    project: 'shop',
    pipeline: 'deliver',
    state: 'running',
    branch: 'main',
    event: 'push',
    actor: 'ada',
    commit: 'abc123',
    ...more,
  }) as RunSummary;
const list = (...pages: RunSummary[][]): InfiniteData<PageRunSummary> => ({
  pages: pages.map((items) => ({ items, next: null })),
  pageParams: pages.map(() => ''),
});
const states = (data: InfiniteData<PageRunSummary>) =>
  data.pages.map((page) => page.items.map((each) => `${each.id} ${each.state}`));

describe('a filter of runs', () => {
  it('is kept to the states that there are', () => {
    expect(statesOf({ state: 'failed,nonsense' })).toEqual(['failed']);
    expect(statesOf({ state: 'running' })).toEqual(['running', 'cancelling']);
    expect(statesOf({})).toEqual([]);
  });
  it('takes a run of which all of it is true', () => {
    expect(fits(run('1'), { project: 'shop', branch: 'main', state: 'running', commit: 'ABC' })).toBe(true);
    expect(fits(run('1'), { project: 'shop', branch: 'other' })).toBe(false);
    expect(fits(run('1'), { state: 'failed' })).toBe(false);
    expect(fits(run('1'), { commit: 'bc' })).toBe(false);
  });
});

describe('news of a run', () => {
  it('are put in the place of it', () => {
    const after = withRun(list([run('3')], [run('2'), run('1')]), run('2', { state: 'failed' }), {});
    expect(states(after)).toEqual([['3 running'], ['2 failed', '1 running']]);
  });
  it('come to the top when it is new', () => {
    expect(states(withRun(list([run('3')]), run('4'), {}))).toEqual([['4 running', '3 running']]);
    expect(states(withRun(list([]), run('4'), {}))).toEqual([['4 running']]);
  });
  it('take it away when it fits no more', () => {
    expect(states(withRun(list([run('3')]), run('3', { state: 'failed' }), { state: 'running' }))).toEqual([[]]);
  });
  it('change nothing when it is of an older page, or of another list', () => {
    const pages = list([run('3')]);
    expect(withRun(pages, run('1'), {})).toBe(pages);
    expect(withRun(pages, run('4'), { branch: 'other' })).toBe(pages);
  });
});
