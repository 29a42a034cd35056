/** What stands in one row of the list: a project, one of its pipelines, or that it has none. */
import { Link } from '@tanstack/react-router';
import { useMay } from '@/app/session';
import classes from './home.module.css';
import { PipelineRow, ProjectHeading } from './row';
import type { Row } from './rows';

export function Item({ row }: { row: Row }) {
  const may = useMay();
  switch (row.kind) {
    case 'project':
      return <ProjectHeading project={row.project} shown={row.shown} />;
    case 'pipeline':
      return (
        <PipelineRow project={row.project} pipeline={row.pipeline} mayStart={may('run.start', row.project.name)} />
      );
    case 'none':
      return (
        <p className={classes.none}>
          No pipelines on {row.project.branch || 'its default branch'} yet. They are written in <code>.flow.yml</code>{' '}
          of the repository:{' '}
          <Link to="/projects/$project/pipelines/$pipeline/file" params={{ project: row.project.name, pipeline: '-' }}>
            try one out
          </Link>
          .
        </p>
      );
  }
}
