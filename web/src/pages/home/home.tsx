/** All pipelines that one may see, each with its latest runs; kept current by the stream of the shell. */
import { Button, SegmentedControl, Select } from '@mantine/core';
import { IconFilterOff, IconPlus } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useMemo } from 'react';
import { listAllPipelinesOptions, type ProjectGlance } from '@/api';
import { useMay } from '@/app/session';
import { clearButton } from '@/ui/clear-button';
import { Page } from '@/ui/page';
import { Empty, Loaded } from '@/ui/panels';
import { SearchField } from '@/ui/search';
import classes from './home.module.css';
import { PipelineList } from './list';
import { Newcomer } from './newcomer';
import { counts, rowsOf } from './rows';

export function Home() {
  const may = useMay();
  const query = useQuery(listAllPipelinesOptions());
  const some = (query.data?.length ?? 0) > 0;
  return (
    <Page
      title="Pipelines"
      actions={
        some &&
        may('project.create') && (
          <Button
            variant="default"
            leftSection={<IconPlus size={14} aria-hidden />}
            renderRoot={(props) => <Link to="/projects/new" {...props} />}
          >
            Add a project
          </Button>
        )
      }
    >
      <Loaded query={query} rows={8}>
        {(projects) => (projects.length === 0 ? <Newcomer /> : <Pipelines projects={projects} />)}
      </Loaded>
    </Page>
  );
}

function Pipelines({ projects }: { projects: ProjectGlance[] }) {
  const filter = useSearch({ from: '/shell/' });
  const rows = useMemo(() => rowsOf(projects, filter), [projects, filter]);
  return (
    <>
      <Filters projects={projects} />
      {rows.length > 0 ? <PipelineList rows={rows} /> : <NothingFits />}
    </>
  );
}

function Filters({ projects }: { projects: ProjectGlance[] }) {
  const filter = useSearch({ from: '/shell/' });
  const navigate = useNavigate({ from: '/' });
  const change = (part: Partial<typeof filter>, replace = false) =>
    void navigate({ search: (before) => ({ ...before, ...part }), replace, resetScroll: false });
  const number = useMemo(() => counts(projects), [projects]);
  return (
    <search className={classes.filters}>
      <SearchField
        className={classes.search}
        label="Find a pipeline"
        value={filter.q ?? ''}
        onChange={(q) => change({ q: q || undefined }, true)}
      />
      <SegmentedControl
        aria-label="State"
        value={filter.state ?? ''}
        onChange={(state) => change({ state: state || undefined })}
        data={[
          { value: '', label: `All ${number.all}` },
          { value: 'failing', label: `Failing ${number.failing}` },
          { value: 'running', label: `Running ${number.running}` },
        ]}
      />
      {(projects.length > 1 || filter.project) && (
        <Select
          className={classes.project}
          aria-label="Project"
          placeholder="All projects"
          clearable
          clearButtonProps={clearButton('All projects')}
          searchable={projects.length > 8}
          data={projects.map((project) => project.name)}
          value={filter.project ?? null}
          onChange={(project) => change({ project: project ?? undefined })}
        />
      )}
    </search>
  );
}

function NothingFits() {
  return (
    <Empty icon={<IconFilterOff size={28} stroke={1.5} />} title="No pipeline is like that">
      <Button variant="default" mt={8} renderRoot={(props) => <Link to="/" search={{}} {...props} />}>
        Show all
      </Button>
    </Empty>
  );
}
