/** What can be done with a log. */
import { ActionIcon, Button, Loader, NativeSelect, TextInput, Tooltip } from '@mantine/core';
import {
  IconAlertCircle,
  IconArrowBarToDown,
  IconChevronDown,
  IconChevronUp,
  IconClock,
  IconDownload,
  IconFold,
  IconFoldDown,
  IconSearch,
  IconTextWrap,
  IconX,
} from '@tabler/icons-react';
import type { KeyboardEvent, ReactNode, Ref } from 'react';
import classes from './logs.module.css';
import type { Matches } from './search';
import type { Shown } from './shown';
import type { Look } from './use-look';
import type { Walk } from './walk';

interface SearchProps {
  text: string;
  onText: (text: string) => void;
  matches: Matches;
  /** Which of the matches was gone to; -1: none yet. */
  place: number;
  onStep: (by: 1 | -1) => void;
  onLeave: () => void;
  inputRef: Ref<HTMLInputElement>;
}

export function Search({ text, onText, matches, place, onStep, onLeave, inputRef }: SearchProps) {
  const keys = (event: KeyboardEvent) => {
    if (event.key === 'Enter') onStep(event.shiftKey ? -1 : 1);
    else if (event.key === 'Escape') onLeave();
    else return;
    event.preventDefault();
  };
  return (
    <search className={classes.search}>
      <TextInput
        ref={inputRef}
        size="xs"
        className={classes.field}
        leftSection={<IconSearch size={14} aria-hidden />}
        rightSection={text && <Tool label="End the search" icon={<IconX size={13} />} onClick={onLeave} />}
        placeholder="Search"
        aria-label="Search this log"
        value={text}
        onChange={(event) => onText(event.currentTarget.value)}
        onKeyDown={keys}
        maxLength={1000}
        spellCheck={false}
      />
      {text !== '' && (
        <>
          <span className={classes.count} role="status">
            {matches.searching && <Loader size={10} />}
            {matches.error !== undefined && 'The search failed'}
            {matches.error === undefined && countOf(matches, place)}
          </span>
          <Tool label="Match before (Shift+Enter)" icon={<IconChevronUp size={15} />} onClick={() => onStep(-1)} />
          <Tool label="Next match (Enter)" icon={<IconChevronDown size={15} />} onClick={() => onStep(1)} />
        </>
      )}
    </search>
  );
}

function countOf({ lines, searching, more }: Matches, place: number): string {
  if (lines.length === 0) return searching ? '' : 'no match';
  const all = lines.length.toLocaleString('en') + (more || searching ? '+' : '');
  return place < 0
    ? `${all} ${lines.length === 1 ? 'line' : 'lines'}`
    : `${(place + 1).toLocaleString('en')} of ${all}`;
}

interface ToolsProps {
  services: string[];
  service: string;
  onService: (service: string) => void;
  look: Look;
  folding: Shown['folding'];
  /** Where the log can be had as it was written. */
  raw: string;
  walk: Walk;
  /** Nothing comes after what is there: there is only the end to go to. */
  ended: boolean;
}

const NEXT_TIMES = { off: 'Times: since the start', since: 'Times: clock', clock: 'No times' };

export function Tools({ services, service, onService, look, folding, raw, walk, ended }: ToolsProps) {
  const { times, wrap } = look;
  return (
    <div className={classes.tools}>
      {services.length > 1 && (
        <NativeSelect
          size="xs"
          className={classes.services}
          aria-label="Service"
          value={service}
          onChange={(event) => onService(event.currentTarget.value)}
          data={[{ value: '', label: 'All services' }, ...services]}
        />
      )}
      <Tool label="Next error (e)" icon={<IconAlertCircle size={16} />} onClick={() => void walk.toError()} />
      <Tool label={NEXT_TIMES[times]} icon={<IconClock size={16} />} on={times !== 'off'} onClick={look.turnTimes} />
      <Tool
        label={wrap ? 'Cut long lines' : 'Wrap long lines'}
        icon={<IconTextWrap size={16} />}
        on={wrap}
        onClick={look.turnWrap}
      />
      {folding && (
        <Tool
          label={folding.folded ? 'Unfold all groups' : 'Fold all groups'}
          icon={folding.folded ? <IconFoldDown size={16} /> : <IconFold size={16} />}
          onClick={folding.turn}
        />
      )}
      <Tooltip label={service ? `Download the log of ${service}` : 'Download the log'}>
        <ActionIcon component="a" href={raw} download variant="subtle" color="gray" aria-label="Download the log">
          <IconDownload size={16} />
        </ActionIcon>
      </Tooltip>
      <ToEnd following={ended ? undefined : walk.follow} onClick={walk.turnFollow} />
    </div>
  );
}

function ToEnd({ following, onClick }: { following: boolean | undefined; onClick: () => void }) {
  return (
    <Tooltip label={following ? 'Lines stay in view as they arrive' : 'To the end (End)'}>
      <Button
        variant={following ? 'light' : 'default'}
        size="compact-xs"
        leftSection={<IconArrowBarToDown size={14} aria-hidden />}
        aria-pressed={following}
        onClick={onClick}
      >
        {following === undefined ? 'End' : following ? 'Following' : 'Follow'}
      </Button>
    </Tooltip>
  );
}

function Tool(props: { label: string; icon: ReactNode; onClick: () => void; on?: boolean }) {
  return (
    <Tooltip label={props.label}>
      <ActionIcon
        variant={props.on ? 'light' : 'subtle'}
        color={props.on ? undefined : 'gray'}
        aria-label={props.label}
        aria-pressed={props.on}
        onClick={props.onClick}
      >
        {props.icon}
      </ActionIcon>
    </Tooltip>
  );
}
