/** A changed file; opened, it shows how it differs. */
import { Button } from '@mantine/core';
import { IconChevronDown, IconChevronRight } from '@tabler/icons-react';
import { type UseQueryOptions, useQuery } from '@tanstack/react-query';
import { lazy, Suspense, useEffect, useRef, useState } from 'react';
import type { ChangedFile, FilePatch } from '@/api';
import { parted, shown } from '@/ui/file-names';
import { ErrorPanel, Loading } from '@/ui/panels';
import { bytes } from '@/ui/small';
import classes from './changed.module.css';
import type { DiffView } from './patch';

const Patch = lazy(() => import('./patch'));
const LARGE = 400_000; // bytes: shown when asked for

export const STATUS: Record<string, string> = { A: 'added', M: 'modified', D: 'deleted', T: 'of another type' };

/** Where the difference of a file comes from. */
export type PatchOf = (file: ChangedFile) => Pick<UseQueryOptions<FilePatch>, 'queryKey' | 'queryFn' | 'staleTime'>;

interface FileProps {
  file: ChangedFile;
  view: DiffView;
  open: boolean;
  onOpen: (open: boolean) => void;
  patchOf: PatchOf;
}

export function ChangedFileRow({ file, view, open, onOpen, patchOf }: FileProps) {
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
        <span className={classes.status} data-status={file.status} title={STATUS[file.status]}>
          <span aria-hidden>{file.status}</span>
          <span className="visually-hidden">{STATUS[file.status]}</span>
        </span>
        <span className={classes.path} title={shown(file.name)}>
          <span className="faint">{shown(directory)}</span>
          {shown(name)}
        </span>
        <span className={classes.size}>{sizes(file)}</span>
      </button>
      {open && <Difference file={file} view={view} patchOf={patchOf} />}
    </li>
  );
}

function sizes({ size_before: before, size_after: after }: ChangedFile): string {
  if (before === null) return after === null ? '' : bytes(after);
  if (after === null) return bytes(before);
  const more = after - before;
  return more === 0 ? bytes(after) : `${bytes(after)} (${more > 0 ? '+' : '−'}${bytes(Math.abs(more))})`;
}

function Difference({ file, view, patchOf }: Pick<FileProps, 'file' | 'view' | 'patchOf'>) {
  const large = Math.max(file.size_before ?? 0, file.size_after ?? 0) > LARGE;
  const [wanted, setWanted] = useState(!large);
  const query = useQuery({ ...patchOf(file), enabled: wanted });
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
