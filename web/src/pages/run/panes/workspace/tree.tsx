/** The directories of a workspace; what is in one is asked for when it is opened. */
import { Button } from '@mantine/core';
import { IconChevronDown, IconChevronRight, IconFile, IconFolder, IconLink } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { type KeyboardEvent, useState } from 'react';
import { api, type TreeEntry } from '@/api';
import { shown } from '@/ui/file-names';
import { ErrorPanel, Loading } from '@/ui/panels';
import { bytes } from '@/ui/small';
import { useLasting } from '@/ui/time';
import type { Place } from './places';
import classes from './workspace.module.css';

const AT_ONCE = 500; // entries of a directory

interface TreeProps {
  place: Place;
  /** Open directories, by path. */
  open: ReadonlySet<string>;
  chosen: string | undefined;
  onToggle: (path: string) => void;
  onChoose: (entry: TreeEntry) => void;
}

export function WorkspaceTree(props: TreeProps) {
  return (
    <div role="tree" aria-label="Files" className={classes.tree} onKeyDown={byArrows}>
      <Directory path="" depth={0} {...props} />
    </div>
  );
}

export function useDirectory(place: Place, path: string, enabled = true) {
  return useQuery({
    queryKey: ['directory', place.run, place.commit, path],
    enabled,
    staleTime: Number.POSITIVE_INFINITY, // a commit does not change
    queryFn: async () =>
      (await api.listDirectory({ path: { run: place.run }, query: { commit: place.commit, path } })).data,
  });
}

function Directory({ path, depth, ...props }: TreeProps & { path: string; depth: number }) {
  const query = useDirectory(props.place, path);
  const [most, setMost] = useState(AT_ONCE);
  const slow = useLasting(query.isPending);
  if (query.isError) return <ErrorPanel error={query.error} retry={() => void query.refetch()} />;
  if (!query.data) return slow ? <Loading rows={2} height={14} /> : null;
  const entries = ordered(query.data.entries);
  if (entries.length === 0)
    return <p className={classes.none}>{depth === 0 ? 'The workspace is empty.' : 'Nothing in it.'}</p>;
  return (
    <>
      {entries.slice(0, most).map((entry) => (
        <Entry key={entry.path} entry={entry} depth={depth} {...props} />
      ))}
      {entries.length > most && (
        <Button variant="subtle" size="compact-xs" onClick={() => setMost(most + AT_ONCE)}>
          {(entries.length - most).toLocaleString('en')} more
        </Button>
      )}
    </>
  );
}

/** Directories first. */
function ordered(entries: TreeEntry[]): TreeEntry[] {
  const rank = (entry: TreeEntry) => (entry.kind === 'directory' ? 0 : 1);
  return entries.toSorted((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name, 'en', { numeric: true }));
}

function Entry({ entry, depth, ...props }: TreeProps & { entry: TreeEntry; depth: number }) {
  const directory = entry.kind === 'directory';
  const open = directory && props.open.has(entry.path);
  const Icon = directory ? IconFolder : entry.kind === 'link' ? IconLink : IconFile;
  const choose = () => {
    if (directory) props.onToggle(entry.path);
    props.onChoose(entry);
  };
  return (
    <>
      <button
        type="button"
        role="treeitem"
        aria-level={depth + 1}
        aria-expanded={directory ? open : undefined}
        aria-selected={props.chosen === entry.path}
        className={classes.entry}
        style={{ '--depth': depth }}
        onClick={choose}
        title={shown(entry.name)}
      >
        {directory ? (
          open ? (
            <IconChevronDown size={13} aria-hidden />
          ) : (
            <IconChevronRight size={13} aria-hidden />
          )
        ) : (
          <i />
        )}
        <Icon size={14} aria-hidden className={classes.icon} data-kind={entry.kind} />
        <span className={classes.name}>{shown(entry.name)}</span>
        {entry.size !== null && entry.kind === 'file' && <span className={classes.size}>{bytes(entry.size)}</span>}
      </button>
      {open && <Directory path={entry.path} depth={depth + 1} {...props} />}
    </>
  );
}

/** Up and down go from entry to entry, right opens a directory, left closes it. */
function byArrows(event: KeyboardEvent<HTMLDivElement>) {
  const items = [...event.currentTarget.querySelectorAll<HTMLElement>('[role=treeitem]')];
  const item = document.activeElement as HTMLElement;
  const at = items.indexOf(item);
  const expanded = item.ariaExpanded;
  if (event.key === 'ArrowDown') items[at + 1]?.focus();
  else if (event.key === 'ArrowUp') items[at - 1]?.focus();
  else if ((event.key === 'ArrowRight' && expanded === 'false') || (event.key === 'ArrowLeft' && expanded === 'true'))
    item.click();
  else return;
  event.preventDefault();
}
