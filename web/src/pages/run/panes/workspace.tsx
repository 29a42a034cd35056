/** The workspace as a step left or found it: a tree of directories, and what is in the file that is chosen. */
import { Button, SegmentedControl } from '@mantine/core';
import { IconArrowLeft, IconFileZip } from '@tabler/icons-react';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import { above } from '@/ui/file-names';
import { Empty } from '@/ui/panels';
import { CommitId } from '@/ui/small';
import type { PaneProps } from './pane';
import { type Place, zipOf } from './workspace/places';
import { Preview } from './workspace/preview';
import { useDirectory, WorkspaceTree } from './workspace/tree';
import classes from './workspace/workspace.module.css';

type Side = 'after' | 'before';

export function WorkspacePane({ run, step, attempt }: PaneProps) {
  const commits = {
    after: attempt?.commit ?? (attempt ? null : step.result_commit),
    before: attempt?.input_commit ?? step.input_commit,
  };
  const [wanted, setSide] = useState<Side>('after');
  const side = commits[wanted] === null ? (wanted === 'after' ? 'before' : 'after') : wanted;
  const commit = commits[side];
  if (commit === null) {
    return <Empty title="No workspace yet">There is one as soon as the steps before this one have ended.</Empty>;
  }
  return (
    <div className={classes.pane}>
      <div className={classes.bar}>
        <SegmentedControl
          size="xs"
          aria-label="Which state of the workspace"
          value={side}
          onChange={(value) => setSide(value as Side)}
          data={[
            { value: 'before', label: 'As it was found', disabled: commits.before === null },
            { value: 'after', label: 'As it was left', disabled: commits.after === null },
          ]}
        />
        <CommitId commit={commit} />
        <Button
          component="a"
          href={zipOf({ run: run.id, commit }, '')}
          download
          variant="default"
          className={classes.zip}
          leftSection={<IconFileZip size={14} aria-hidden />}
        >
          All as zip
        </Button>
      </div>
      <Browser key={commit} place={{ run: run.id, commit }} />
    </div>
  );
}

function Browser({ place }: { place: Place }) {
  const { path } = useSearch({ from: '/shell/projects/$project/runs/$number' });
  const navigate = useNavigate({ from: '/projects/$project/runs/$number' });
  const [open, setOpen] = useState<ReadonlySet<string>>(() => new Set(path ? above(path) : []));
  useEffect(() => {
    if (path) setOpen((before) => new Set([...before, ...above(path)]));
  }, [path]);
  const toggle = (directory: string) =>
    setOpen((before) => {
      const next = new Set(before);
      if (!next.delete(directory)) next.add(directory);
      return next;
    });
  const choose = (to: string | undefined) =>
    void navigate({ resetScroll: false, search: (before) => ({ ...before, path: to }) });
  return (
    <div className={classes.browser} data-chosen={path !== undefined || undefined}>
      <div className={classes.side}>
        <WorkspaceTree
          place={place}
          open={open}
          chosen={path}
          onToggle={toggle}
          onChoose={(entry) => choose(entry.path)}
        />
      </div>
      <div className={classes.main}>
        {path !== undefined && (
          <Button
            variant="subtle"
            className={classes.back}
            leftSection={<IconArrowLeft size={14} aria-hidden />}
            onClick={() => choose(undefined)}
          >
            Files
          </Button>
        )}
        {path === undefined ? (
          <Empty title="Choose a file">Arrow keys go through the tree.</Empty>
        ) : (
          <Chosen place={place} path={path} />
        )}
      </div>
    </div>
  );
}

/** What a path is, the directory that it is in knows. */
function Chosen({ place, path }: { place: Place; path: string }) {
  const parent = above(path).at(-1) ?? '';
  const query = useDirectory(place, parent);
  const entry = query.data?.entries.find((each) => each.path === path);
  if (query.isPending) return null;
  if (!entry)
    return <Empty title="There is no such file here">It may be in the workspace as another step left it.</Empty>;
  if (entry.kind !== 'directory')
    return <Preview key={path} place={place} path={path} empty={entry.kind === 'file' && entry.size === 0} />;
  return (
    <Empty title="A directory">
      <Button
        component="a"
        href={zipOf(place, path)}
        download
        variant="default"
        leftSection={<IconFileZip size={14} aria-hidden />}
      >
        Download it as zip
      </Button>
    </Empty>
  );
}
