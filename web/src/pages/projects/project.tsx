import { Button } from '@mantine/core';
import { IconLock, IconRefresh, IconWorld } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useParams, useSearch } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { type Action, api, getProjectOptions, getProjectQueryKey, type ProjectView } from '@/api';
import { useMay } from '@/app/session';
import { Channels } from '@/pages/channels/channels';
import { Page } from '@/ui/page';
import { ErrorPanel, Loaded } from '@/ui/panels';
import { Facts } from '@/ui/rows';
import { StateLabel } from '@/ui/states';
import { TabLinks } from '@/ui/tabs';
import { Ago } from '@/ui/time';
import { told } from '@/ui/told';
import { Environments } from './environments-tab';
import { Hooks } from './hooks';
import { Members } from './members';
import { Pipelines } from './pipelines';
import classes from './project.module.css';
import { Schedules } from './schedules';
import { Secrets } from './secrets';
import { Settings } from './settings';

interface ProjectTab {
  value: string;
  label: string;
  needs: Action;
  show: (project: ProjectView, channel?: string) => ReactNode;
}

const TABS: ProjectTab[] = [
  { value: 'pipelines', label: 'Pipelines', needs: 'project.read', show: ({ name }) => <Pipelines project={name} /> },
  { value: 'triggers', label: 'Triggers', needs: 'hook.read', show: ({ name }) => <Hooks project={name} /> },
  { value: 'schedules', label: 'Schedules', needs: 'schedule.read', show: ({ name }) => <Schedules project={name} /> },
  {
    value: 'environments',
    label: 'Environments',
    needs: 'run.read',
    show: ({ name }) => <Environments project={name} />,
  },
  {
    value: 'notifications',
    label: 'Notifications',
    needs: 'channel.read',
    show: ({ name }, channel) => (
      <Channels
        key={name}
        project={name}
        chosen={channel}
        about={
          <>
            Who is told what happens in this project. A pipeline file can name channels, too, by <code>notify</code>.
          </>
        }
      />
    ),
  },
  { value: 'secrets', label: 'Secrets', needs: 'secret.list', show: ({ name }) => <Secrets project={name} /> },
  { value: 'members', label: 'Members', needs: 'member.read', show: ({ name }) => <Members project={name} /> },
  {
    value: 'settings',
    label: 'Settings',
    needs: 'project.change',
    show: (project) => <Settings key={project.name} project={project} />,
  },
];

export function Project() {
  const { project: name } = useParams({ from: '/shell/projects/$project' });
  const { tab, channel } = useSearch({ from: '/shell/projects/$project' });
  const may = useMay();
  const project = useQuery(getProjectOptions({ path: { project: name } }));
  const tabs = TABS.filter((each) => may(each.needs, name) || each.value === 'pipelines');
  const chosen = tabs.find((each) => each.value === tab) ?? tabs[0];
  return (
    <Page
      title={name}
      crumbs={[{ label: 'Projects', to: '/projects' }]}
      heading={project.data ? <Heading project={project.data} /> : name}
      actions={project.data && may('run.start', name) && <Fetch project={project.data} />}
    >
      <Loaded query={project}>
        {(found) => (
          <>
            <State project={found} />
            <TabLinks tabs={tabs} value={chosen?.value ?? ''} label="Parts of the project" />
            {chosen?.show(found, channel) ?? <ErrorPanel error={null} />}
          </>
        )}
      </Loaded>
    </Page>
  );
}

function Heading({ project }: { project: ProjectView }) {
  const open = project.visibility === 'public';
  const Icon = open ? IconWorld : IconLock;
  return (
    <>
      {project.name}
      <span title={open ? 'Everybody may look at it' : 'Only its members may look at it'} className={classes.icon}>
        <Icon size={16} stroke={1.7} aria-hidden />
        <span className="visually-hidden">{project.visibility}</span>
      </span>
      {project.archived_at !== null && <StateLabel look="skipped" word="archived" />}
    </>
  );
}

function State({ project }: { project: ProjectView }) {
  return (
    <div className={classes.state}>
      <Facts>
        <span className="mono">{project.url}</span>
        <span>
          fetched <Ago at={project.fetched_at} />
        </span>
      </Facts>
      {project.fetch_error && (
        <p className={classes.problem} role="alert">
          The last fetch did not work: {project.fetch_error}
        </p>
      )}
    </div>
  );
}

function Fetch({ project }: { project: ProjectView }) {
  const queries = useQueryClient();
  const fetching = useMutation({
    mutationFn: () => api.fetchProject({ path: { project: project.name } }),
    onSuccess: async ({ data }) => {
      queries.setQueryData(getProjectQueryKey({ path: { project: project.name } }), data);
      await queries.invalidateQueries({ predicate: ({ queryKey }) => isOf(queryKey, project.name) });
      told('Fetched');
    },
    onSettled: () => queries.invalidateQueries({ queryKey: getProjectQueryKey({ path: { project: project.name } }) }),
  });
  if (project.archived_at !== null) return null;
  return (
    <Button
      variant="default"
      leftSection={<IconRefresh size={14} />}
      loading={fetching.isPending}
      onClick={() => fetching.mutate()}
    >
      Fetch now
    </Button>
  );
}

/** Whether a query depends on what was fetched: everything that names the project, and the list of all pipelines. */
function isOf(key: readonly unknown[], project: string): boolean {
  const about = key[0] as { _id?: string; path?: { project?: string } } | undefined;
  return about?.path?.project === project || about?._id === 'listAllPipelines';
}
