/** What stands in the place of things that are not there: not yet, not any more, or not at all. */
import { Button, Loader, Skeleton, Stack, Text } from '@mantine/core';
import { IconAlertTriangle, IconCloudOff, IconLock, IconMapQuestion } from '@tabler/icons-react';
import type { UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { asProblem } from '@/api';
import classes from './panels.module.css';
import { useLasting } from './time';

export function Empty({ icon, title, children }: { icon?: ReactNode; title: string; children?: ReactNode }) {
  return (
    <div className={classes.panel}>
      {icon && (
        <div className={classes.icon} aria-hidden>
          {icon}
        </div>
      )}
      <Text fw={600}>{title}</Text>
      {children && <div className={classes.text}>{children}</div>}
    </div>
  );
}

/** An error as the API says it: what, why, and what to do. */
export function ErrorPanel({ error, retry }: { error: unknown; retry?: () => void }) {
  const { problem, status } = asProblem(error);
  const Icon =
    status === 404
      ? IconMapQuestion
      : status === 403 || status === 401
        ? IconLock
        : status === 0
          ? IconCloudOff
          : IconAlertTriangle;
  return (
    <div className={classes.panel} role="alert">
      <div className={classes.icon} aria-hidden>
        <Icon size={28} stroke={1.5} />
      </div>
      <Text fw={600}>{problem.title}</Text>
      <div className={classes.text}>
        {problem.detail !== problem.title && <p>{problem.detail}</p>}
        {problem.hint && <p className="faint">{problem.hint}</p>}
        {problem.errors?.map((place) => (
          <p key={place.where + place.message}>
            <code>{place.where}</code> {place.message}
          </p>
        ))}
      </div>
      {retry && (
        <Button variant="default" onClick={retry}>
          Try again
        </Button>
      )}
    </div>
  );
}

export function Loading({ rows = 5, height = 34 }: { rows?: number; height?: number }) {
  return (
    <Stack gap={8} role="status" aria-busy="true" aria-label="Loading">
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: they are all the same
        <Skeleton key={row} height={height} radius="sm" />
      ))}
    </Stack>
  );
}

/** In the place of a part of the app that is being loaded; to be seen when that takes long. */
export function Coming() {
  const slow = useLasting(true);
  return <div aria-busy="true">{slow && <Loader size="sm" m="lg" aria-label="Loading" />}</div>;
}

/** The states of a query: a skeleton when it takes long, the error, or what it brought. */
export function Loaded<T>({
  query,
  rows,
  children,
}: {
  query: UseQueryResult<T, Error>;
  rows?: number;
  children: (data: T) => ReactNode;
}) {
  const slow = useLasting(query.isPending);
  // What is not there any more, or not for this person, is not shown from memory.
  const gone = query.isError && [403, 404].includes(asProblem(query.error).status);
  if (query.data !== undefined && !gone) return children(query.data);
  if (query.isError) return <ErrorPanel error={query.error} retry={() => void query.refetch()} />;
  return slow ? <Loading rows={rows} /> : null;
}
