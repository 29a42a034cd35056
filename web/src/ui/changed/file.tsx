/** A changed file; opened, it shows how it differs. */
import { Button } from '@mantine/core';
import { IconChevronDown, IconChevronRight } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense, useEffect, useRef, useState } from 'react';
import { api, type ChangedFile } from '@/api';
import { ErrorPanel, Loading } from '@/ui/panels';
import { bytes } from '@/ui/small';
import type { DiffView } from '../changes';
import { parted, shown } from '../names';
import classes from './changes.module.css';

const Patch = lazy(() => import('./patch'));
const LARGE = 400_000; // bytes: shown when asked for

interface FileProps {
  run: string;
  step: string;
  result: string;
  file: ChangedFile;
  view: DiffView;
  open: boolean;
  onOpen: (open: boolean) => void;
}

const WORDS: Record<string, string> = { A: 'added', M: 'modified', D: 'deleted', T: 'type changed' };

export function ChangedFileRow({ run, step, result, file, view, open, onOpen }: FileProps) {
  const [directory, name] = parted(file.name);
  const element = useRef<HTMLLIElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: only what is open when it appears is brought into view
  useEffect(() => {
    if (open) element.current?.scrollIntoView({ block: 'nearest' });
  }, []);
  return (
    <li ref={element} className={classes.file} data-open={open || undefined}>
      <button type="button" className={classes.row} aria-expanded={open} onClick={() => onOpen(!open)}>
        {open ? <IconChevronDown size={14} aria-hidden /> : <IconChevronRight size={14} aria-hidden />}
        <span className={classes.status} data-status={file.status} title={WORDS[file.status]}>
          <span aria-hidden>{file.status}</span>
          <span className="visually-hidden">{WORDS[file.status]}</span>
        </span>
        <span className={classes.path} title={shown(file.name)}>
          <span className="faint">{shown(directory)}</span>
          {shown(name)}
        </span>
        <span className={classes.size}>{sizes(file)}</span>
      </button>
      {open && <Difference run={run} step={step} result={result} file={file} view={view} />}
    </li>
  );
}

function sizes({ size_before: before, size_after: after }: ChangedFile): string {
  if (before === null) return after === null ? '' : bytes(after);
  if (after === null) return bytes(before);
  const more = after - before;
  return more === 0 ? bytes(after) : `${bytes(after)} (${more > 0 ? '+' : '−'}${bytes(Math.abs(more))})`;
}

function Difference({ run, step, result, file, view }: Omit<FileProps, 'open' | 'onOpen'>) {
  const large = Math.max(file.size_before ?? 0, file.size_after ?? 0) > LARGE;
  const [wanted, setWanted] = useState(!large);
  const query = useQuery({
    queryKey: ['patch', run, step, result, file.path],
    enabled: wanted,
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: async () => (await api.diffFile({ path: { run, step }, query: { path: file.path } })).data,
  });
  if (!wanted) {
    return (
      <p className={classes.aside}>
        This file is large.{' '}
        <Button variant="default" size="compact-xs" onClick={() => setWanted(true)}>
          Show how it differs
        </Button>
      </p>
    );
  }
  if (query.isError) return <ErrorPanel error={query.error} retry={() => void query.refetch()} />;
  if (!query.data) return <Loading rows={3} height={16} />;
  return (
    <Suspense fallback={<Loading rows={3} height={16} />}>
      <Patch patch={query.data.patch} cut={query.data.cut} view={view} />
    </Suspense>
  );
}
