/** The files that a step changed, with how the reader likes to see differences. */
import { SegmentedControl } from '@mantine/core';
import { useLocalStorage } from '@mantine/hooks';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { api } from '@/api';
import type { PatchOf } from '@/ui/changed/file';
import { ChangedFiles, Counts, filesOf } from '@/ui/changed/files';
import type { DiffView } from '@/ui/changed/patch';
import classes from './changes.module.css';
import { useChangedFiles } from './use-changed-files';

interface FilesProps {
  run: string;
  step: string;
  result: string;
  /** How many, by status. */
  counts: Record<string, number>;
}

export function Files({ run, step, result, counts }: FilesProps) {
  const [view, setView] = useLocalStorage<DiffView>({
    key: 'flow-diff-view',
    defaultValue: 'unified',
    getInitialValueInEffect: false,
  });
  const { path: open } = useSearch({ from: '/shell/projects/$project/runs/$number' });
  const navigate = useNavigate({ from: '/projects/$project/runs/$number' });
  const files = useChangedFiles(run, step, result, open);
  const patchOf: PatchOf = (file) => ({
    queryKey: ['patch', run, step, result, file.path],
    queryFn: async () => (await api.diffFile({ path: { run, step }, query: { path: file.path } })).data,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const choose = (path: string | undefined) =>
    void navigate({ replace: true, resetScroll: false, search: (before) => ({ ...before, path }) });
  const some = filesOf(files.data).length > 0;
  return (
    <section aria-label="Changed files">
      <header className={classes.head}>
        <h3>Files</h3>
        <Counts changes={counts} />
        {some && <Views view={view} onView={setView} />}
      </header>
      {files.isSuccess && !some && <p className="faint">No file was added, modified or deleted.</p>}
      <ChangedFiles files={files} patchOf={patchOf} view={view} open={open} onOpen={choose} />
    </section>
  );
}

function Views({ view, onView }: { view: DiffView; onView: (view: DiffView) => void }) {
  return (
    <SegmentedControl
      className={classes.views}
      size="xs"
      aria-label="How differences are shown"
      value={view}
      onChange={onView}
      data={[
        { value: 'unified', label: 'Unified' },
        { value: 'split', label: 'Split' },
      ]}
    />
  );
}
