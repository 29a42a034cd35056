/** The files that a step changed, some at once. */
import { useInfiniteQuery } from '@tanstack/react-query';
import { useEffect } from 'react';
import { api } from '@/api';
import { filesOf } from '@/ui/changed/files';

const AT_ONCE = 200; // files
const FURTHEST = 25; // pages that are read to find the file that the address names

/** `sought`: a file that is to be among them. */
export function useChangedFiles(run: string, step: string, result: string, sought: string | undefined) {
  const files = useInfiniteQuery({
    queryKey: ['changed files', run, step, result],
    initialPageParam: '',
    queryFn: async ({ pageParam }) =>
      (await api.listChangedFiles({ path: { run, step }, query: { cursor: pageParam, limit: AT_ONCE } })).data,
    getNextPageParam: (page) => page.next,
  });
  const { data, hasNextPage, isFetching, fetchNextPage } = files;
  const missing = sought !== undefined && !filesOf(data).some((file) => file.path === sought);
  const pages = data?.pages.length ?? FURTHEST;
  useEffect(() => {
    if (missing && hasNextPage && !isFetching && pages < FURTHEST) void fetchNextPage();
  }, [missing, hasNextPage, isFetching, pages, fetchNextPage]);
  return files;
}
