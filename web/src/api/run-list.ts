/** Runs by the page, the newest first, kept current run by run: pages are not asked for again when something happens. */
import { type InfiniteData, useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { useCallback } from 'react';
import { listRunsInfiniteOptions, listRunsInfiniteQueryKey } from './generated/@tanstack/react-query.gen';
import type { PageRunSummary, RunState, RunSummary } from './generated/types.gen';
import { useRunNews } from './live';

/** As the addresses of pages have it: `state` may hold several, with commas between them. */
export interface RunFilter {
  project?: string;
  pipeline?: string;
  state?: string;
  branch?: string;
  event?: string;
  actor?: string;
  commit?: string;
}

const STATES = ['running', 'cancelling', 'succeeded', 'failed', 'errored', 'cancelled'];

/** The states that a filter means; who asks for those that run means those that are being cancelled, too. */
export function statesOf({ state = '' }: RunFilter): RunState[] {
  const chosen = state.split(',').filter((each) => STATES.includes(each)) as RunState[];
  return chosen.includes('running') ? [...new Set<RunState>([...chosen, 'cancelling'])] : chosen;
}

const EQUAL = ['project', 'pipeline', 'branch', 'event', 'actor'] as const;

/** Whether a run belongs in a list, by the rules of the server. */
export function fits(run: RunSummary, filter: RunFilter): boolean {
  const states = statesOf(filter);
  return (
    EQUAL.every((name) => !filter[name] || run[name] === filter[name]) &&
    (states.length === 0 || states.includes(run.state)) &&
    run.commit.startsWith(filter.commit?.toLowerCase() ?? '')
  );
}

type Pages = InfiniteData<PageRunSummary>;

/** Return the pages with a run as it stands now: in its place, at the top when it is new, or gone when it does not fit any more. */
export function withRun(pages: Pages, run: RunSummary, filter: RunFilter): Pages {
  const known = pages.pages.some((page) => page.items.some((each) => each.id === run.id));
  const keep = fits(run, filter);
  if (known) {
    const items = (page: PageRunSummary) =>
      page.items.flatMap((each) => (each.id !== run.id ? [each] : keep ? [run] : []));
    return { ...pages, pages: pages.pages.map((page) => ({ ...page, items: items(page) })) };
  }
  const [first, ...others] = pages.pages;
  const newest = first?.items[0];
  if (!keep || !first || (newest && run.id < newest.id)) return pages; // ids begin with the time
  return { ...pages, pages: [{ ...first, items: [run, ...first.items] }, ...others] };
}

export function useRunList(filter: RunFilter, limit = 50) {
  const queries = useQueryClient();
  const { state: _, ...same } = filter;
  const states = statesOf(filter);
  const options = { query: { ...same, ...(states.length > 0 && { state: states }), limit } };
  const key = listRunsInfiniteQueryKey(options);
  const query = useInfiniteQuery({
    ...listRunsInfiniteOptions(options),
    initialPageParam: '',
    getNextPageParam: (page: PageRunSummary) => page.next ?? undefined,
  });
  const text = JSON.stringify([filter, key]);
  useRunNews(
    useCallback(
      (run) => {
        const [now, place] = JSON.parse(text);
        queries.setQueryData<Pages>(place, (pages) => pages && withRun(pages, run, now));
      },
      [queries, text],
    ),
  );
  return query;
}
