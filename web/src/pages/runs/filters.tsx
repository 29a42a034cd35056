/** What the list of runs is narrowed by. All of it is in the address. */
import { Button, Select, TextInput, Tooltip } from '@mantine/core';
import { useDisclosure, useMediaQuery } from '@mantine/hooks';
import { IconAdjustmentsHorizontal, IconX } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { listAllPipelinesOptions } from '@/api';
import type { RunFilter } from '@/api/run-list';
import { clearButton } from '@/ui/clear-button';
import { StateIcon } from '@/ui/states';
import classes from './runs.module.css';

const STATES = ['running', 'succeeded', 'failed', 'errored', 'cancelled'] as const;
const EVENTS = ['push', 'tag', 'pull_request', 'schedule', 'webhook', 'manual', 'after'];

interface FiltersProps {
  filter: RunFilter;
  change: (part: RunFilter) => void;
  clear: () => void;
}

export function Filters({ filter, change, clear }: FiltersProps) {
  const narrow = useMediaQuery('(max-width: 48em)');
  const [opened, more] = useDisclosure(false);
  const used = Object.values(filter).filter(Boolean).length;
  return (
    <search>
      {narrow && (
        <Button
          variant="default"
          onClick={more.toggle}
          aria-expanded={opened}
          leftSection={<IconAdjustmentsHorizontal size={15} aria-hidden />}
          className={classes.toggle}
        >
          {used > 0 ? `Filters: ${used}` : 'Filter'}
        </Button>
      )}
      {(!narrow || opened) && (
        <div className={classes.filters}>
          <Places filter={filter} change={change} />
          <States chosen={filter.state?.split(',') ?? []} onChange={(states) => change({ state: states.join(',') })} />
          <Select
            aria-label="Event"
            placeholder="Any event"
            data={EVENTS}
            value={filter.event ?? null}
            onChange={(event) => change({ event: event ?? '' })}
            clearable
            clearButtonProps={clearButton('Any event')}
          />
          <Typed label="Branch" value={filter.branch} onChange={(branch) => change({ branch })} />
          <Typed label="Person" value={filter.actor} onChange={(actor) => change({ actor })} />
          <Typed label="Commit" value={filter.commit} onChange={(commit) => change({ commit: hexadecimal(commit) })} />
          {used > 0 && (
            <Button
              variant="subtle"
              color="gray"
              size="sm"
              onClick={clear}
              leftSection={<IconX size={14} aria-hidden />}
            >
              Clear
            </Button>
          )}
        </div>
      )}
    </search>
  );
}

/** None chosen means all of them. */
function States({ chosen, onChange }: { chosen: string[]; onChange: (states: string[]) => void }) {
  return (
    <fieldset className={classes.states}>
      <legend className="visually-hidden">State</legend>
      {STATES.map((state) => {
        const on = chosen.includes(state);
        return (
          <Tooltip key={state} label={state}>
            <button
              type="button"
              aria-pressed={on}
              onClick={() => onChange(on ? chosen.filter((each) => each !== state) : [...chosen, state])}
            >
              <StateIcon look={state} />
            </button>
          </Tooltip>
        );
      })}
    </fieldset>
  );
}

const hexadecimal = (text: string) => text.toLowerCase().replace(/[^0-9a-f]/g, '');

/** The pipelines to choose from are those of the chosen project; of all of them when none is. */
function Places({ filter, change }: Omit<FiltersProps, 'clear'>) {
  const projects = useQuery(listAllPipelinesOptions()).data ?? [];
  const chosen = projects.filter((project) => !filter.project || project.name === filter.project);
  const pipelines = [
    ...new Set(chosen.flatMap((project) => project.pipelines.map((pipeline) => pipeline.name))),
  ].sort();
  return (
    <>
      <Select
        aria-label="Project"
        placeholder="Any project"
        data={withChosen(
          projects.map((project) => project.name),
          filter.project,
        )}
        value={filter.project ?? null}
        onChange={(project) => change({ project: project ?? '', pipeline: '' })}
        searchable
        clearable
        clearButtonProps={clearButton('Any project')}
      />
      <Select
        aria-label="Pipeline"
        placeholder="Any pipeline"
        data={withChosen(pipelines, filter.pipeline)}
        value={filter.pipeline ?? null}
        onChange={(pipeline) => change({ pipeline: pipeline ?? '' })}
        searchable
        clearable
        clearButtonProps={clearButton('Any pipeline')}
      />
    </>
  );
}

/** What an address names is shown even if there is no such thing. */
const withChosen = (names: string[], chosen?: string) =>
  chosen && !names.includes(chosen) ? [...names, chosen] : names;

/** The server compares the whole of it: it is asked when the field is left or Enter is pressed, not at each letter. */
function Typed({ label, value = '', onChange }: { label: string; value?: string; onChange: (text: string) => void }) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  const tell = () => {
    if (text.trim() !== value) onChange(text.trim());
  };
  return (
    <TextInput
      aria-label={label}
      placeholder={label}
      value={text}
      onChange={(event) => setText(event.currentTarget.value)}
      onBlur={tell}
      onKeyDown={(event) => {
        if (event.key === 'Enter') tell();
      }}
    />
  );
}
