/** What a step changed: files, one below the other, and variables. */
import { Button, SegmentedControl } from '@mantine/core';
import { useLocalStorage } from '@mantine/hooks';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useEffect } from 'react';
import { api } from '@/api';
import { Empty, ErrorPanel, Loading } from '@/ui/panels';
import classes from './changes/changes.module.css';
import { ChangedFileRow } from './changes/file';
import { VariableChanges } from './changes/variables';
import type { PaneProps } from './pane';

export type DiffView = 'unified' | 'split';
const AT_ONCE = 200; // files
const FURTHEST = 25; // pages that are read to find the file that the address names

export function ChangesPane({ run, step, attempt }: PaneProps) {
  const [view, setView] = useLocalStorage<DiffView>({
    key: 'flow-diff-view',
    defaultValue: 'unified',
    getInitialValueInEffect: false,
  });
  const { path: open } = useSearch({ from: '/shell/projects/$project/runs/$number' });
  const navigate = useNavigate({ from: '/projects/$project/runs/$number' });
  const result = step.result_commit;
  const path = { run: run.id, step: step.key };
  const files = useInfiniteQuery({
    queryKey: ['changed files', run.id, step.key, result],
    enabled: result !== null,
    initialPageParam: '',
    queryFn: async ({ pageParam }) =>
      (await api.listChangedFiles({ path, query: { cursor: pageParam, limit: AT_ONCE } })).data,
    getNextPageParam: (page) => page.next,
  });

  const all = files.data?.pages.flatMap((page) => page.items);
  const sought = open !== undefined && !all?.some((file) => file.path === open);
  const { hasNextPage, isFetching, fetchNextPage } = files;
  const pages = files.data?.pages.length ?? FURTHEST;
  useEffect(() => {
    if (sought && hasNextPage && !isFetching && pages < FURTHEST) void fetchNextPage();
  }, [sought, hasNextPage, isFetching, pages, fetchNextPage]);

  if (result === null) {
    return (
      <Empty
        title={
          step.state === 'done' ? 'It changed nothing: it did not run' : 'What it changes is known when it has ended'
        }
      />
    );
  }
  if (files.isError) return <ErrorPanel error={files.error} retry={() => void files.refetch()} />;
  if (!all) return <Loading rows={6} height={26} />;
  const latest = step.attempts.at(-1);
  return (
    <div className={classes.pane}>
      {attempt && latest && attempt.attempt !== latest.attempt && (
        <p className={classes.note}>These are the changes of attempt {latest.attempt}, the latest one.</p>
      )}
      <VariableChanges run={run.id} step={step.key} result={result} />
      <section aria-label="Changed files">
        <header className={classes.head}>
          <h3>Files</h3>
          <Counts changes={latest?.changes ?? {}} />
          {all.length > 0 && (
            <SegmentedControl
              className={classes.views}
              size="xs"
              aria-label="How differences are shown"
              value={view}
              onChange={(value) => setView(value as DiffView)}
              data={[
                { value: 'unified', label: 'Unified' },
                { value: 'split', label: 'Split' },
              ]}
            />
          )}
        </header>
        {all.length === 0 && <p className="faint">No file was added, modified or deleted.</p>}
        <ul className={classes.files}>
          {all.map((file) => (
            <ChangedFileRow
              key={file.path}
              run={run.id}
              step={step.key}
              result={result}
              file={file}
              view={view}
              open={open === file.path || (all.length === 1 && open === undefined)}
              onOpen={(opens) =>
                void navigate({
                  replace: true,
                  resetScroll: false,
                  search: (before) => ({ ...before, path: opens ? file.path : undefined }),
                })
              }
            />
          ))}
        </ul>
        {files.hasNextPage && (
          <Button variant="default" loading={files.isFetchingNextPage} onClick={() => void files.fetchNextPage()}>
            Show more files
          </Button>
        )}
      </section>
    </div>
  );
}

const WORDS: Record<string, string> = { A: 'added', M: 'modified', D: 'deleted', T: 'of another type' };

function Counts({ changes }: { changes: Record<string, number> }) {
  return (
    <span className={classes.counts}>
      {Object.entries(changes).map(([status, count]) => (
        <span key={status} data-status={status}>
          {count.toLocaleString('en')} {WORDS[status] ?? status}
        </span>
      ))}
    </span>
  );
}
