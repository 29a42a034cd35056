/** A pipeline in the list: how it has done lately, what it does now, and the button that starts it. */
import { Button } from '@mantine/core';
import { IconAlertTriangle, IconPlayerPlay } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { memo } from 'react';
import type { PipelineGlance, ProjectGlance } from '@/api';
import { RunBars } from '@/ui/bars';
import { Held, heldTitle } from '@/ui/held';
import { Branch, Trigger } from '@/ui/small';
import { lookOfRun, StateIcon, wordOf } from '@/ui/states';
import { Ago, Duration, duration } from '@/ui/time';
import classes from './home.module.css';
import { percent } from './rows';

interface PipelineRowProps {
  project: ProjectGlance;
  pipeline: PipelineGlance;
  mayStart: boolean;
}

export const PipelineRow = memo(function PipelineRow({ project, pipeline, mayStart }: PipelineRowProps) {
  const newest = pipeline.runs[0];
  const path = { project: project.name, pipeline: pipeline.name };
  return (
    <div className={classes.row}>
      <div className={classes.name}>
        <Link
          to="/projects/$project/pipelines/$pipeline"
          params={path}
          className={classes.title}
          data-row
          title={pipeline.description}
        >
          {pipeline.name}
        </Link>
        <Second project={project} pipeline={pipeline} />
      </div>
      <div className={classes.bars}>
        <RunBars runs={pipeline.runs} />
      </div>
      <Newest pipeline={pipeline} />
      <span className={classes.when}>{newest && <Ago at={newest.created_at} />}</span>
      <Figure label="median">{pipeline.median_seconds === null ? null : duration(pipeline.median_seconds)}</Figure>
      <Figure label="succeeded">{pipeline.success_rate === null ? null : percent(pipeline.success_rate)}</Figure>
      <div className={classes.action}>
        {mayStart && pipeline.known && <Run project={project.name} pipeline={pipeline} />}
      </div>
    </div>
  );
});

/** What stands below the name: what it is for, unless there is something to be told. */
function Second({ project, pipeline }: Pick<PipelineRowProps, 'project' | 'pipeline'>) {
  if (pipeline.hold) {
    return (
      <span className={classes.second}>
        <Held hold={pipeline.hold} />
      </span>
    );
  }
  if (!pipeline.known) {
    return <span className={classes.second}>{project.errors ? 'not usable now' : `not on ${project.branch}`}</span>;
  }
  return (
    <span className={classes.second} title={pipeline.description}>
      {pipeline.description}
    </span>
  );
}

function Run({ project, pipeline }: { project: string; pipeline: PipelineGlance }) {
  const look = {
    variant: 'default',
    size: 'compact-sm',
    leftSection: <IconPlayerPlay size={13} aria-hidden />,
    'aria-label': `Run ${pipeline.name}`,
  };
  if (pipeline.hold) {
    return (
      <Button {...look} disabled title={heldTitle(pipeline.hold)}>
        Run
      </Button>
    );
  }
  const params = { project, pipeline: pipeline.name };
  return (
    <Button
      {...look}
      renderRoot={(props) => <Link to="/projects/$project/pipelines/$pipeline/start" params={params} {...props} />}
    >
      Run
    </Button>
  );
}

function Newest({ pipeline }: { pipeline: PipelineGlance }) {
  const run = pipeline.runs[0];
  if (!run) return <span className={`${classes.newest} faint`}>never run</span>;
  const look = lookOfRun(run.state);
  return (
    <div className={classes.newest}>
      <Link
        to="/projects/$project/runs/$number"
        params={{ project: run.project, number: String(run.number) }}
        className={classes.run}
      >
        <StateIcon look={look} />
        <span className="numbers">#{run.number}</span> {run.state === 'cancelling' ? 'cancelling' : wordOf(look)}
        <span className="faint">
          <Duration from={run.created_at} to={run.finished_at} />
        </span>
      </Link>
      <div className={classes.second}>
        {run.branch && <Branch name={run.branch} />}
        <Trigger run={run} />
      </div>
    </div>
  );
}

function Figure({ label, children }: { label: string; children: string | null }) {
  if (children === null) {
    return (
      <span className={`${classes.figure} ${classes.missing} faint`} title={`No ${label} yet`}>
        –
      </span>
    );
  }
  return (
    <span className={`${classes.figure} numbers`}>
      {children}
      <span className={classes.label}> {label}</span>
    </span>
  );
}

export function ProjectHeading({ project, shown }: { project: ProjectGlance; shown: number }) {
  return (
    <div className={classes.heading}>
      <h2>
        <Link to="/projects/$project" params={{ project: project.name }} className="plain-link">
          {project.name}
        </Link>
      </h2>
      <Branch name={project.branch} />
      {shown > 0 && shown < project.pipelines.length && (
        <span className="faint">
          {shown} of {project.pipelines.length}
        </span>
      )}
      <Trouble project={project} />
    </div>
  );
}

/** Why the pipelines below may be out of date or not all there, and where to go about it. */
function Trouble({ project }: { project: ProjectGlance }) {
  return (
    <>
      {project.problem && (
        <Link
          to="/projects/$project"
          params={{ project: project.name }}
          className={classes.trouble}
          title={project.problem}
        >
          <IconAlertTriangle size={14} aria-hidden /> {project.commit ? 'may be out of date' : 'could not be fetched'}:{' '}
          <span className={classes.why}>{project.problem}</span>
        </Link>
      )}
      {project.errors > 0 && (
        <Link
          to="/projects/$project/pipelines/$pipeline/file"
          params={{ project: project.name, pipeline: project.pipelines.find((each) => each.known)?.name ?? '-' }}
          className={classes.trouble}
        >
          <IconAlertTriangle size={14} aria-hidden /> {project.errors === 1 ? '1 error' : `${project.errors} errors`} in
          the pipeline files
        </Link>
      )}
    </>
  );
}
