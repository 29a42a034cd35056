/** The files by which the workspaces of two runs differ; how one differs is asked for when it is opened. */
import { Button } from '@mantine/core';
import { IconChevronDown, IconChevronRight } from '@tabler/icons-react';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { lazy, Suspense } from 'react';
import { api, type ChangedFile, compareFileOptions } from '@/api';
import { ErrorPanel, Loading } from '@/ui/panels';
import { bytes } from '@/ui/small';
import classes from './files.module.css';

const Patch = lazy(() => import('../run/panes/changes/patch'));
const WORDS: Record<string, string> = { A: 'added', M: 'modified', D: 'deleted', T: 'of another type' };

interface FilesProps {
  before: string;
  after: string;
  /** How many there are, by status. */
  changes: Record<string, number>;
}

export function Files({ before, after, changes }: FilesProps) {
  const { path: open } = useSearch({ from: '/shell/projects/$project/runs/$number/compare/$other' });
  const navigate = useNavigate({ from: '/projects/$project/runs/$number/compare/$other' });
  const path = { run: before, other: after };
  const files = useInfiniteQuery({
    queryKey: ['compared files', before, after, changes],
    initialPageParam: '',
    queryFn: async ({ pageParam, signal }) =>
      (await api.compareFiles({ path, query: { cursor: pageParam, limit: 100 }, signal })).data,
    getNextPageParam: (page) => page.next,
  });
  if (files.isError) return <ErrorPanel error={files.error} retry={() => void files.refetch()} />;
  if (!files.data) return <Loading rows={4} height={26} />;
  return (
    <>
      <p className={classes.counts}>
        {Object.entries(changes).map(([status, count]) => (
          <span key={status} data-status={status}>
            {count.toLocaleString('en')} {WORDS[status] ?? status}
          </span>
        ))}
      </p>
      <ul className={classes.files}>
        {files.data.pages
          .flatMap((page) => page.items)
          .map((file) => (
            <File
              key={file.path}
              file={file}
              runs={path}
              open={open === file.path}
              onOpen={(opens) =>
                void navigate({ search: { path: opens ? file.path : undefined }, replace: true, resetScroll: false })
              }
            />
          ))}
      </ul>
      {files.hasNextPage && (
        <Button variant="default" mt="xs" loading={files.isFetchingNextPage} onClick={() => void files.fetchNextPage()}>
          Show more files
        </Button>
      )}
    </>
  );
}

interface FileProps {
  file: ChangedFile;
  runs: { run: string; other: string };
  open: boolean;
  onOpen: (open: boolean) => void;
}

function File({ file, runs, open, onOpen }: FileProps) {
  const Chevron = open ? IconChevronDown : IconChevronRight;
  return (
    <li>
      <button type="button" className={classes.file} aria-expanded={open} onClick={() => onOpen(!open)}>
        <Chevron size={14} aria-hidden />
        <span className={classes.status} data-status={file.status} title={WORDS[file.status]}>
          {file.status}
        </span>
        <code>{file.name}</code>
        <span className={classes.sizes}>
          {size(file.size_before)} → {size(file.size_after)}
        </span>
      </button>
      {open && <Difference file={file} runs={runs} />}
    </li>
  );
}

const size = (value: number | null) => (value === null ? 'none' : bytes(value));

function Difference({ file, runs }: Pick<FileProps, 'file' | 'runs'>) {
  const query = useQuery(compareFileOptions({ path: runs, query: { path: file.path } }));
  if (query.isError) return <ErrorPanel error={query.error} retry={() => void query.refetch()} />;
  if (!query.data) return <Loading rows={3} height={16} />;
  return (
    <Suspense fallback={<Loading rows={3} height={16} />}>
      <Patch patch={query.data.patch} cut={query.data.cut} view="unified" />
    </Suspense>
  );
}
