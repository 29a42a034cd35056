/** Goes anywhere by a few keys: pages, projects, pipelines, runs by number. */
import { Combobox, Kbd, Modal, TextInput, useCombobox } from '@mantine/core';
import {
  IconBooks,
  IconFileCode,
  IconHash,
  IconLayoutSidebar,
  IconPlayerPlay,
  IconRoute,
  IconSearch,
} from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useNavigate, useParams } from '@tanstack/react-router';
import { type ComponentType, useEffect, useMemo, useState } from 'react';
import { listAllPipelinesOptions } from '@/api';
import classes from './palette.module.css';
import { found, type Place, placesOf, runsMeant } from './places';
import { useMay } from './session';

const MOST = 30; // places on the screen: who has not found it types on

const ICONS: Record<string, ComponentType<{ size?: number; stroke?: number; 'aria-hidden'?: boolean }>> = {
  page: IconLayoutSidebar,
  project: IconBooks,
  pipeline: IconRoute,
  'pipeline file': IconFileCode,
  start: IconPlayerPlay,
  run: IconHash,
};

export default function Palette({ onClose }: { onClose: () => void }) {
  const [typed, setTyped] = useState('');
  const navigate = useNavigate();
  const combobox = useCombobox({ opened: true });
  const places = usePlaces(typed);
  // biome-ignore lint/correctness/useExhaustiveDependencies: Enter takes the first of what is found now
  useEffect(() => void combobox.selectFirstOption(), [places]);
  const go = (to: string) => {
    onClose();
    void navigate({ to });
  };
  return (
    <Modal.Root opened onClose={onClose} size={560} yOffset="14vh" centered={false}>
      <Modal.Overlay />
      <Modal.Content aria-label="Go to">
        <Combobox store={combobox} onOptionSubmit={go}>
          <Combobox.EventsTarget>
            <TextInput
              data-autofocus
              variant="unstyled"
              size="md"
              className={classes.field}
              aria-label="Go to a project, a pipeline, a run or a page"
              placeholder="Project, pipeline, #run or page"
              leftSection={<IconSearch size={17} aria-hidden />}
              rightSection={<Kbd size="xs">Esc</Kbd>}
              value={typed}
              onChange={(event) => setTyped(event.currentTarget.value)}
            />
          </Combobox.EventsTarget>
          <Combobox.Options className={classes.options} aria-label="Places" tabIndex={0}>
            {places.map((place) => (
              <Option key={place.to + place.kind} place={place} />
            ))}
            {places.length === 0 && <Combobox.Empty>Nothing is called that</Combobox.Empty>}
          </Combobox.Options>
        </Combobox>
      </Modal.Content>
    </Modal.Root>
  );
}

function usePlaces(typed: string): Place[] {
  const may = useMay();
  const projects = useQuery(listAllPipelinesOptions()).data ?? [];
  const { project } = useParams({ strict: false });
  // biome-ignore lint/correctness/useExhaustiveDependencies: rights do not change while the palette is open
  return useMemo(
    () => [...runsMeant(typed, projects, project), ...found(placesOf(projects, may), typed)].slice(0, MOST),
    [typed, projects, project],
  );
}

function Option({ place }: { place: Place }) {
  const Icon = ICONS[place.kind] ?? IconLayoutSidebar;
  return (
    <Combobox.Option value={place.to} className={classes.option}>
      <Icon size={16} stroke={1.7} aria-hidden />
      <span className={classes.label}>{place.label}</span>
      <span className="faint">{place.kind === 'start' ? '' : place.kind}</span>
    </Combobox.Option>
  );
}
