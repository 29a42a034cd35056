/** What maintainers decide about a project. Each part is saved by itself. */
import { Button } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { api, getProjectQueryKey, type ProjectPatch, type ProjectView } from '@/api';
import { useMay } from '@/app/session';
import { Confirm } from '@/ui/confirm';
import { Row, Rows } from '@/ui/rows';
import { Section } from '@/ui/section';
import { told } from '@/ui/told';
import { projectsChanged } from './changed';
import { SettingsForm } from './settings-form';
import { SourceForm } from './source-form';

export function Settings({ project }: { project: ProjectView }) {
  const save = useSave(project.name);
  return (
    <>
      <Section title="Repository" about="A new address or credential has to work before it is kept.">
        <SourceForm project={project} save={save} />
      </Section>
      <SettingsForm project={project} save={save} />
      <History project={project.name} />
      <Danger project={project} save={save} />
    </>
  );
}

/** Send a change; what the server has then is shown. */
export type Save = (change: ProjectPatch) => Promise<unknown>;

function useSave(name: string): Save {
  const queries = useQueryClient();
  return async (body) => {
    const { data } = await api.changeProject({ path: { project: name }, body });
    queries.setQueryData(getProjectQueryKey({ path: { project: name } }), data);
    void projectsChanged(queries);
    told('Saved');
  };
}

function History({ project }: { project: string }) {
  const may = useMay();
  if (!may('audit.read', project)) return null;
  return (
    <Section title="History" bare>
      <Rows label="History">
        <Row
          title="Who did what here"
          sub="Runs, secrets, members, webhooks and settings, from the audit log."
          actions={
            <Button variant="default" renderRoot={(props) => <Link to="/audit" search={{ project }} {...props} />}>
              Audit log
            </Button>
          }
        />
      </Rows>
    </Section>
  );
}

function Danger({ project, save }: { project: ProjectView; save: Save }) {
  const may = useMay();
  const archived = project.archived_at !== null;
  return (
    <Section title="Putting it away" danger bare>
      <Rows label="Putting it away">
        <Row
          title={archived ? 'It is in the archive' : 'Archive'}
          sub="What is archived can be looked at, but nothing of it starts."
          actions={
            <Confirm
              label={archived ? 'Take it out' : 'Archive'}
              title={archived ? `Take ${project.name} out of the archive` : `Archive ${project.name}`}
              act={() => save({ archived: !archived })}
            >
              {archived ? 'Its triggers work again.' : 'Its triggers start nothing until it is taken out again.'}
            </Confirm>
          }
        />
        {may('project.delete') && <Delete project={project.name} />}
      </Rows>
    </Section>
  );
}

function Delete({ project }: { project: string }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  return (
    <Row
      title="Delete"
      sub="With all its runs, logs, workspaces, secrets, webhooks and schedules, for good. Runs must have ended."
      actions={
        <Confirm
          label="Delete the project"
          title={`Delete ${project}`}
          word={project}
          variant="filled"
          color="red"
          act={() => api.deleteProject({ path: { project } })}
          onDone={async () => {
            await navigate({ to: '/projects' });
            queries.removeQueries({ queryKey: getProjectQueryKey({ path: { project } }) });
            await projectsChanged(queries);
            told(`${project} is deleted`);
          }}
        >
          All of its runs, logs and workspaces are gone then. The repository itself is not touched.
        </Confirm>
      }
    />
  );
}
