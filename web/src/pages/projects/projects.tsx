import { Button, Switch, TextInput } from '@mantine/core';
import { IconBooks, IconLock, IconPlus, IconSearch, IconWorld } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { listAllPipelinesOptions, listProjectsOptions, type ProjectGlance, type ProjectView } from '@/api';
import { useMay } from '@/app/session';
import { Page } from '@/ui/page';
import { Empty, Loaded } from '@/ui/panels';
import { Facts, Row, Rows } from '@/ui/rows';
import { lookOfRun, StateIcon, StateLabel } from '@/ui/states';
import { Ago } from '@/ui/time';
import classes from './projects.module.css';

export function Projects() {
  const { q = '', archived } = useSearch({ from: '/shell/projects' });
  const navigate = useNavigate({ from: '/projects' });
  const may = useMay();
  const projects = useQuery(listProjectsOptions({ query: { archived: archived === 'yes' } }));
  const glances = useQuery(listAllPipelinesOptions({ query: { last: 1 } }));
  const choose = (search: { q?: string; archived?: string }) =>
    void navigate({ search: { q: q || undefined, archived, ...search }, replace: true });
  return (
    <Page title="Projects" actions={may('project.create') && <AddProject />}>
      <div className={classes.filters}>
        <TextInput
          aria-label="Search for a project"
          placeholder="Search"
          leftSection={<IconSearch size={15} />}
          value={q}
          onChange={(event) => choose({ q: event.currentTarget.value || undefined })}
        />
        <Switch
          label="Archived, too"
          checked={archived === 'yes'}
          onChange={(event) => choose({ archived: event.currentTarget.checked ? 'yes' : undefined })}
        />
      </div>
      <Loaded query={projects}>{(all) => <List all={all} q={q} glances={glances.data ?? []} />}</Loaded>
    </Page>
  );
}

function AddProject() {
  return (
    <Button renderRoot={(props) => <Link to="/projects/new" {...props} />} leftSection={<IconPlus size={15} />}>
      Add a project
    </Button>
  );
}

function List({ all, q, glances }: { all: ProjectView[]; q: string; glances: ProjectGlance[] }) {
  const may = useMay();
  const words = q.toLowerCase();
  const shown = all.filter((each) => each.name.includes(words) || each.url.toLowerCase().includes(words));
  if (all.length === 0) {
    return (
      <Empty icon={<IconBooks size={30} stroke={1.4} />} title="No projects yet">
        <p>A project is a git repository whose pipelines run here.</p>
        {may('project.create') ? <AddProject /> : <p className="faint">An admin of the server adds them.</p>}
      </Empty>
    );
  }
  if (shown.length === 0) return <Empty title="No project is like that">Search for something else.</Empty>;
  return (
    <Rows label="Projects">
      {shown.map((project) => (
        <ProjectRow key={project.name} project={project} glance={glances.find((one) => one.name === project.name)} />
      ))}
    </Rows>
  );
}

function ProjectRow({ project, glance }: { project: ProjectView; glance: ProjectGlance | undefined }) {
  const open = project.visibility === 'public';
  return (
    <Row
      icon={
        <span title={open ? 'Everybody may look at it' : 'Only its members may look at it'}>
          {open ? <IconWorld size={17} stroke={1.6} /> : <IconLock size={17} stroke={1.6} />}
          <span className="visually-hidden">{open ? 'public' : 'private'}</span>
        </span>
      }
      title={
        <>
          <Link to="/projects/$project" params={{ project: project.name }}>
            {project.name}
          </Link>
          {project.archived_at !== null && <StateLabel look="skipped" word="archived" />}
          {project.fetch_error && <StateLabel look="errored" word="cannot be fetched" />}
          {!!glance?.errors && <StateLabel look="failed" word={`${glance.errors} in its pipeline files`} />}
        </>
      }
      sub={
        <Facts>
          <span className="mono">{project.url}</span>
          {glance?.branch && <span>{glance.branch}</span>}
        </Facts>
      }
      meta={
        <>
          {glance && <Pipelines glance={glance} />}
          <span className={classes.fetched}>
            fetched <Ago at={project.fetched_at} />
          </span>
        </>
      }
      dim={project.archived_at !== null}
    />
  );
}

const MOST = 8; // pipelines of which a project shows the state

function Pipelines({ glance }: { glance: ProjectGlance }) {
  const known = glance.pipelines.filter((each) => each.known);
  return (
    <span className={classes.pipelines}>
      {known.slice(0, MOST).map((pipeline) => {
        const run = pipeline.runs[0];
        return (
          run && (
            <Link
              key={pipeline.name}
              to="/projects/$project/runs/$number"
              params={{ project: glance.name, number: String(run.number) }}
              title={`${pipeline.name} #${run.number}`}
              aria-label={`The latest run of ${pipeline.name}`}
            >
              <StateIcon look={lookOfRun(run.state)} size={15} />
            </Link>
          )
        );
      })}
      <span className="numbers">
        {known.length} {known.length === 1 ? 'pipeline' : 'pipelines'}
      </span>
    </span>
  );
}
