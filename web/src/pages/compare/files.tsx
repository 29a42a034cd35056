/** The files by which the workspaces of two runs differ; how one differs is asked for when it is opened. */
import { useInfiniteQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { api } from '@/api';
import type { PatchOf } from '@/ui/changed/file';
import { ChangedFiles, Counts } from '@/ui/changed/files';

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
  const patchOf: PatchOf = (file) => ({
    queryKey: ['compared file', before, after, changes, file.path],
    queryFn: async () => (await api.compareFile({ path, query: { path: file.path } })).data,
  });
  return (
    <>
      <p>
        <Counts changes={changes} />
      </p>
      <ChangedFiles
        files={files}
        patchOf={patchOf}
        open={open}
        onOpen={(path) => void navigate({ search: { path }, replace: true, resetScroll: false })}
      />
    </>
  );
}
