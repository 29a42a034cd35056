/** Files that differ, one below the other; the one that the address names is open. */
import { Button } from '@mantine/core';
import type { InfiniteData, UseInfiniteQueryResult } from '@tanstack/react-query';
import { useState } from 'react';
import type { ChangedFile, PageChangedFile } from '@/api';
import { ErrorPanel, Loading } from '@/ui/panels';
import classes from './changed.module.css';
import { ChangedFileRow, type PatchOf, STATUS } from './file';
import type { DiffView } from './patch';

interface ChangedFilesProps {
  files: UseInfiniteQueryResult<InfiniteData<PageChangedFile>>;
  patchOf: PatchOf;
  view?: DiffView;
  open: string | undefined;
  onOpen: (path: string | undefined) => void;
}

export function ChangedFiles({ files, patchOf, view = 'unified', open, onOpen }: ChangedFilesProps) {
  const [shut, setShut] = useState(false); // the only file is open unasked
  if (files.isError) return <ErrorPanel error={files.error} retry={() => void files.refetch()} />;
  if (!files.data) return <Loading rows={6} height={26} />;
  const all = filesOf(files.data);
  const alone = all.length === 1 && open === undefined && !shut;
  const toggle = (file: ChangedFile, opens: boolean) => {
    setShut(!opens);
    onOpen(opens ? file.path : undefined);
  };
  return (
    <>
      <ul className={classes.files}>
        {all.map((file) => (
          <ChangedFileRow
            key={file.path}
            file={file}
            view={view}
            open={open === file.path || alone}
            onOpen={(opens) => toggle(file, opens)}
            patchOf={patchOf}
          />
        ))}
      </ul>
      {files.hasNextPage && (
        <Button variant="default" loading={files.isFetchingNextPage} onClick={() => void files.fetchNextPage()}>
          Show more files
        </Button>
      )}
    </>
  );
}

export const filesOf = (data: InfiniteData<PageChangedFile> | undefined) =>
  data?.pages.flatMap((page) => page.items) ?? [];

/** How many files, by status. */
export function Counts({ changes }: { changes: Record<string, number> }) {
  return (
    <span className={classes.counts}>
      {Object.entries(changes).map(([status, count]) => (
        <span key={status} data-status={status}>
          {count.toLocaleString('en')} {STATUS[status] ?? status}
        </span>
      ))}
    </span>
  );
}
