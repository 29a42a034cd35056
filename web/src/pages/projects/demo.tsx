import { Button } from '@mantine/core';
import { IconFlask } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { aboutOptions, api, listProjectsOptions } from '@/api';
import { projectsChanged } from './changed';
import classes from './new.module.css';

const NAME = 'demo'; // the server calls it so

/** A project for those who want to see one run first: the server has its files, and makes its repository. */
export function DemoProject() {
  const about = useQuery(aboutOptions());
  const queries = useQueryClient();
  const navigate = useNavigate();
  const add = useMutation({
    mutationFn: () => api.addDemo(),
    onSuccess: ({ data }) => {
      void projectsChanged(queries);
      return navigate({ to: '/projects/new', search: { added: data.name }, replace: true });
    },
  });
  const projects = useQuery(listProjectsOptions({ query: { archived: true } }));
  if (!about.data?.demo || !projects.data) return null;
  if (projects.data.some((each) => each.name === NAME)) {
    return (
      <p>
        There is a project{' '}
        <Link to="/projects/$project" params={{ project: NAME }}>
          {NAME}
        </Link>{' '}
        to look at already.
      </p>
    );
  }
  return (
    <>
      <h2>No repository at hand?</h2>
      <p>The demo project has a small pipeline with parallel steps, and needs nothing but this server.</p>
      <Button
        variant="default"
        className={classes.demo}
        leftSection={<IconFlask size={15} />}
        loading={add.isPending}
        onClick={() => add.mutate()}
      >
        Add the demo project
      </Button>
    </>
  );
}
