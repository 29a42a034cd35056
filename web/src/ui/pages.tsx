/** A list that comes in pages: the next one is asked for when its end comes near, or by its button. */
import { Button } from '@mantine/core';
import { useIntersection } from '@mantine/hooks';
import type { InfiniteData, UseInfiniteQueryResult } from '@tanstack/react-query';
import { type ReactNode, useEffect } from 'react';
import classes from './pages.module.css';
import { ErrorPanel, Loading } from './panels';
import { useLasting } from './time';

interface PagesProps<Item> {
  query: UseInfiniteQueryResult<InfiniteData<{ items: Item[] }>, Error>;
  /** On the button. */
  more?: string;
  children: (items: Item[]) => ReactNode;
}

export const byCursor = { initialPageParam: '', getNextPageParam: (page: { next: string | null }) => page.next };

export function Pages<Item>({ query, more = 'More', children }: PagesProps<Item>) {
  const slow = useLasting(query.isPending);
  const { ref, entry } = useIntersection({ rootMargin: '400px' });
  const near = entry?.isIntersecting ?? false;
  const { hasNextPage, isFetching, isFetchNextPageError, fetchNextPage } = query;
  useEffect(() => {
    if (near && hasNextPage && !isFetching && !isFetchNextPageError) void fetchNextPage();
  }, [near, hasNextPage, isFetching, isFetchNextPageError, fetchNextPage]);
  if (query.data === undefined) {
    if (query.isError) return <ErrorPanel error={query.error} retry={() => void query.refetch()} />;
    return slow ? <Loading /> : null;
  }
  return (
    <>
      {children(query.data.pages.flatMap((page) => page.items))}
      {hasNextPage && (
        <div ref={ref} className={classes.more}>
          <Button variant="subtle" color="gray" loading={query.isFetchingNextPage} onClick={() => void fetchNextPage()}>
            {more}
          </Button>
        </div>
      )}
    </>
  );
}
