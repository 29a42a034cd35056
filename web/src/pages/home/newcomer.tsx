/** What stands on the home page before there is anything to be shown on it. */
import { Button } from '@mantine/core';
import { IconBook2, IconFlask, IconGitBranch, IconPlayerPlay, IconPlus, IconUserQuestion } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { aboutOptions, api, listAllPipelinesQueryKey } from '@/api';
import { useMay, useMe } from '@/app/session';
import { Empty } from '@/ui/panels';
import classes from './newcomer.module.css';

const EXAMPLE = `pipelines:
  release:
    steps:
      build:
        action: ci/build-compose.yml
        success: [test]
      test:
        action: ci/test-compose.yml
`;

export function Newcomer() {
  const may = useMay();
  const me = useMe();
  if (!may('project.create')) {
    return (
      <Empty icon={<IconUserQuestion size={28} stroke={1.5} />} title="You are in no project yet">
        <p>
          Ask a maintainer of a project, or an administrator of this server, to make you a member. Your name here is{' '}
          <strong>{me?.name}</strong>.
        </p>
      </Empty>
    );
  }
  return (
    <div className={classes.newcomer}>
      <h2>From a repository to a running pipeline</h2>
      <ol className={classes.steps}>
        <li>
          <IconGitBranch size={20} stroke={1.6} aria-hidden />
          <h3>Add a repository</h3>
          <p>Any address that git can clone. It is looked at at once, and again with every push.</p>
          <Button
            size="sm"
            leftSection={<IconPlus size={15} aria-hidden />}
            renderRoot={(props) => <Link to="/projects/new" {...props} />}
          >
            Add a repository
          </Button>
        </li>
        <li>
          <IconBook2 size={20} stroke={1.6} aria-hidden />
          <h3>Write a pipeline</h3>
          <p>
            <code>.flow.yml</code> says which steps there are, and what runs after which. Each step is plain docker
            compose.
          </p>
          <pre>{EXAMPLE}</pre>
        </li>
        <li>
          <IconPlayerPlay size={20} stroke={1.6} aria-hidden />
          <h3>Run it</h3>
          <p>By a push, by a schedule, or with the Run button that stands beside each pipeline on this page.</p>
        </li>
      </ol>
      <Demo />
    </div>
  );
}

/** A project that shows everything, at one click. Servers without the files for it do not offer it. */
function Demo() {
  const server = useQuery(aboutOptions());
  const queries = useQueryClient();
  const add = useMutation({
    mutationFn: async () => (await api.addDemo()).data,
    onSuccess: () => queries.invalidateQueries({ queryKey: listAllPipelinesQueryKey() }),
  });
  if (!server.data?.demo) return null;
  return (
    <div className={classes.demo}>
      <IconFlask size={20} stroke={1.6} aria-hidden />
      <p>
        <strong>Only looking around?</strong> The demo project has a pipeline with everything in it. It can be deleted
        like any other.
      </p>
      <Button size="sm" variant="default" loading={add.isPending} onClick={() => add.mutate()}>
        Add the demo project
      </Button>
    </div>
  );
}
