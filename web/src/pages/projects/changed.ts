import type { QueryClient } from '@tanstack/react-query';

const LISTS = ['listProjects', 'listAllPipelines', 'listPipelines'];

/** Ask again for the lists in which projects stand: one was added, changed, put away or deleted. */
export function projectsChanged(queries: QueryClient) {
  return queries.invalidateQueries({
    predicate: ({ queryKey }) => LISTS.includes((queryKey[0] as { _id?: string } | undefined)?._id ?? ''),
  });
}
