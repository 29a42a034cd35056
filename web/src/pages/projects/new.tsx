import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link, useSearch } from '@tanstack/react-router';
import { listPipelinesOptions } from '@/api';
import { useMay } from '@/app/session';
import { Page } from '@/ui/page';
import { Empty, Loaded } from '@/ui/panels';
import { DemoProject } from './demo';
import { Findings } from './findings';
import classes from './new.module.css';
import { NewProjectForm } from './new-form';
import { PipelineRows } from './pipelines';

const CRUMBS = [{ label: 'Projects', to: '/projects' }];

/** From an address to something that runs: the form, and then what the repository was found to hold. */
export function NewProject() {
  const { added } = useSearch({ from: '/shell/projects/new' });
  const may = useMay();
  if (added) return <Added project={added} />;
  return (
    <Page title="Add a project" crumbs={CRUMBS}>
      {may('project.create') ? (
        <div className={classes.columns}>
          <NewProjectForm />
          <aside className={classes.aside} aria-label="What happens then">
            <h2>What happens then</h2>
            <ol>
              <li>The server fetches the repository. Nothing is written to it.</li>
              <li>
                It looks for pipelines in <code>.flow.yml</code> or <code>.flow/*.yml</code>.
              </li>
              <li>You see what it found, and run it.</li>
            </ol>
            <DemoProject />
          </aside>
        </div>
      ) : (
        <Empty title="Admins of the server add projects">Ask one of them, with the address of the repository.</Empty>
      )}
    </Page>
  );
}

function Added({ project }: { project: string }) {
  const found = useQuery(listPipelinesOptions({ path: { project } }));
  return (
    <Page
      title={`${project} is here`}
      crumbs={CRUMBS}
      actions={
        <Button
          variant="default"
          renderRoot={(props) => <Link to="/projects/$project" params={{ project }} {...props} />}
        >
          Webhooks, secrets and settings
        </Button>
      }
    >
      <Loaded query={found}>
        {(pipelines) => (
          <>
            <p className={classes.summary}>{summary(pipelines.pipelines.length, pipelines.branch)}</p>
            <Findings found={pipelines} project={project} />
            <PipelineRows found={pipelines} project={project} />
          </>
        )}
      </Loaded>
    </Page>
  );
}

function summary(count: number, branch: string): string {
  if (count === 0) return `The repository was fetched. No pipeline can be used on ${branch} yet.`;
  if (count === 1) return `One pipeline was found on ${branch}. Run it to see it work.`;
  return `${count} pipelines were found on ${branch}. Run one to see it work.`;
}
