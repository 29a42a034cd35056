import { hashKey, MutationCache, QueryCache, QueryClient } from '@tanstack/react-query';
import { asProblem, meQueryKey } from '@/api';
import { notify } from '@/ui/told';

/** Errors that may pass by themselves: the server or its database is away. */
const passing = (error: unknown) => [0, 502, 503, 504].includes(asProblem(error).status);

const ME = meQueryKey();

/** Who is refused may have lost the login, or a right, since the page asked who it is for. */
function refused(error: unknown) {
  if ([401, 403].includes(asProblem(error).status)) void queries.invalidateQueries({ queryKey: ME });
}

/** News arrive by streams (api/live.ts, api/run.ts): nothing is asked for again because time has passed. */
export const queries: QueryClient = new QueryClient({
  queryCache: new QueryCache({ onError: (error, query) => query.queryHash !== hashKey(ME) && refused(error) }),
  mutationCache: new MutationCache({
    onError: (error, _variables, _context, mutation) => {
      refused(error);
      if (mutation.options.onError) return; // the page shows it in its place
      const { problem } = asProblem(error);
      notify({
        color: 'red',
        title: problem.title,
        message: [problem.detail, problem.hint].filter(Boolean).join(' '),
      });
    },
  }),
  defaultOptions: {
    queries: {
      staleTime: 30_000,
      refetchOnWindowFocus: false,
      retry: (count, error) => passing(error) && count < 8,
      retryDelay: (count) => Math.min(500 * 2 ** count, 15_000),
    },
  },
});
