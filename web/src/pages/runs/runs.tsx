/** All runs that one may see. */
import { Button } from '@mantine/core';
import { IconFilterOff, IconHistory } from '@tabler/icons-react';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { type RunFilter, useRunList } from '@/api/run-list';
import { Page } from '@/ui/page';
import { Empty } from '@/ui/panels';
import { RunList } from '@/ui/runs';
import { Filters } from './filters';

export function Runs() {
  const filter = useSearch({ from: '/shell/runs' });
  const navigate = useNavigate({ from: '/runs' });
  const query = useRunList(filter);
  const clear = () => void navigate({ search: {} });
  const change = (part: RunFilter) =>
    void navigate({
      search: (before) => Object.fromEntries(Object.entries({ ...before, ...part }).filter(([, value]) => value)),
      resetScroll: false,
    });
  return (
    <Page title="Runs">
      <Filters filter={filter} change={change} clear={clear} />
      <RunList query={query} none={Object.keys(filter).length > 0 ? <NothingFits clear={clear} /> : <NeverRan />} />
    </Page>
  );
}

function NothingFits({ clear }: { clear: () => void }) {
  return (
    <Empty icon={<IconFilterOff size={28} stroke={1.5} />} title="No run is like that">
      <p>Branches, people and events are compared as a whole; of a commit the beginning is enough.</p>
      <Button variant="default" mt={6} onClick={clear}>
        Show all
      </Button>
    </Empty>
  );
}

function NeverRan() {
  return (
    <Empty icon={<IconHistory size={28} stroke={1.5} />} title="Nothing has run yet">
      <p>Runs begin by a push, a schedule, or the Run button beside a pipeline.</p>
    </Empty>
  );
}
