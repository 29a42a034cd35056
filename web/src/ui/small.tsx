/** Small things that many pages show. */
import { ActionIcon, CopyButton, Kbd, Tooltip } from '@mantine/core';
import {
  IconCheck,
  IconClockPlay,
  IconCopy,
  IconGitBranch,
  IconGitCommit,
  IconHandClick,
  IconTag,
  IconWebhook,
} from '@tabler/icons-react';
import type { RunSummary } from '@/api';
import classes from './small.module.css';

export function Copy({ value, label }: { value: string; label: string }) {
  return (
    <CopyButton value={value}>
      {({ copied, copy }) => (
        <Tooltip label={copied ? 'Copied' : label}>
          <ActionIcon variant="subtle" color="gray" size="sm" onClick={copy} aria-label={label}>
            {copied ? <IconCheck size={14} /> : <IconCopy size={14} />}
          </ActionIcon>
        </Tooltip>
      )}
    </CopyButton>
  );
}

/** A command to be typed elsewhere. */
export function Command({ children }: { children: string }) {
  return (
    <span className={classes.command}>
      <code>{children}</code>
      <Copy value={children} label="Copy the command" />
    </span>
  );
}

export function CommitId({ commit }: { commit: string }) {
  return (
    <span className={classes.ref} title={commit}>
      <IconGitCommit size={14} aria-hidden />
      <code>{commit.slice(0, 8)}</code>
    </span>
  );
}

export function Branch({ name, tag = false }: { name: string; tag?: boolean }) {
  const Icon = tag ? IconTag : IconGitBranch;
  return (
    <span className={classes.ref} title={name}>
      <Icon size={14} aria-hidden />
      <span className={classes.name}>{name}</span>
    </span>
  );
}

/** Who or what began a run. */
export function Trigger({ run }: { run: Pick<RunSummary, 'event' | 'actor'> }) {
  const Icon =
    run.event === 'schedule'
      ? IconClockPlay
      : run.event === 'manual' || run.event === 'rerun'
        ? IconHandClick
        : IconWebhook;
  return (
    <span className={classes.ref}>
      <Icon size={14} aria-hidden />
      <span className={classes.name}>
        {run.event}
        {run.actor && ` by ${run.actor}`}
      </span>
    </span>
  );
}

export function Keys({ keys }: { keys: string }) {
  return (
    <span className={classes.keys}>
      {keys.split(' ').map((key) => (
        <Kbd key={key} size="xs">
          {key}
        </Kbd>
      ))}
    </span>
  );
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytes(size: number): string {
  const power = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(size, 1)) / 10)));
  const value = size / 1024 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[power]}`;
}
