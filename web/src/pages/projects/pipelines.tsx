/** The pipelines of a project as its default branch has them. */
import { Badge } from '@mantine/core';
import { IconBinaryTree2, IconFileText, IconFlask } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import {
  listAllPipelinesOptions,
  listPipelinesOptions,
  type PipelinesView,
  type PipelineView,
  type RunSummary,
} from '@/api';
import { useMay } from '@/app/session';
import { HoldButton } from '@/pages/pipeline/hold-button';
import { Held } from '@/ui/held';
import { Empty, Loaded } from '@/ui/panels';
import { Facts, Row, Rows } from '@/ui/rows';
import { Section } from '@/ui/section';
import { Branch, CommitId } from '@/ui/small';
import { lookOfRun, StateIcon, wordOf } from '@/ui/states';
import { Ago } from '@/ui/time';
import { Findings } from './findings';
import { FirstFile } from './first-file';
import { RunButton } from './run-button';
import { triggerWords } from './words';

export function Pipelines({ project }: { project: string }) {
  const found = useQuery(listPipelinesOptions({ path: { project } }));
  return (
    <Loaded query={found}>
      {(pipelines) => (
        <Section
          title="Pipelines"
          about={
            <Facts>
              <Branch name={pipelines.branch || pipelines.tag} tag={!pipelines.branch} />
              <CommitId commit={pipelines.commit} />
            </Facts>
          }
          bare
        >
          <Findings found={pipelines} project={project} />
          <PipelineRows found={pipelines} project={project} />
        </Section>
      )}
    </Loaded>
  );
}

export function PipelineRows({ found, project }: { found: PipelinesView; project: string }) {
  const may = useMay();
  const glances = useQuery(listAllPipelinesOptions({ query: { project, last: 1 } }));
  const latest = glances.data?.find((each) => each.name === project)?.pipelines ?? [];
  if (found.pipelines.length === 0) return <NoPipelines found={found} />;
  return (
    <Rows label="Pipelines">
      {found.pipelines.map((pipeline) => (
        <PipelineRow
          key={pipeline.name}
          project={project}
          pipeline={pipeline}
          run={latest.find((each) => each.name === pipeline.name)?.runs[0]}
          may={may('run.start', project)}
        />
      ))}
    </Rows>
  );
}

interface PipelineRowProps {
  project: string;
  pipeline: PipelineView;
  run: RunSummary | undefined;
  may: boolean;
}

function PipelineRow({ project, pipeline, run, may }: PipelineRowProps) {
  const params = { project, pipeline: pipeline.name };
  return (
    <Row
      icon={run ? <StateIcon look={lookOfRun(run.state)} size={17} /> : <IconBinaryTree2 size={17} stroke={1.6} />}
      title={
        <>
          <Link to="/projects/$project/pipelines/$pipeline" params={params}>
            {pipeline.name}
          </Link>
          {triggerWords(pipeline.triggers).map((word) => (
            <Badge key={word} size="sm" color="gray">
              {word}
            </Badge>
          ))}
        </>
      }
      sub={
        <>
          <Facts>
            {pipeline.description && <span>{pipeline.description}</span>}
            <span>{pipeline.steps.length === 1 ? '1 step' : `${pipeline.steps.length} steps`}</span>
            <Link to="/projects/$project/pipelines/$pipeline/file" params={params} className="plain-link">
              <IconFileText size={12} aria-hidden /> {pipeline.file}:{pipeline.line}
            </Link>
          </Facts>
          {pipeline.hold && (
            <div>
              <Held hold={pipeline.hold} />
            </div>
          )}
        </>
      }
      meta={run ? <LastRun run={run} /> : 'no run yet'}
      actions={
        <>
          <HoldButton project={project} pipeline={pipeline.name} hold={pipeline.hold} />
          {may && <RunButton project={project} pipeline={pipeline} />}
        </>
      }
    />
  );
}

function LastRun({ run }: { run: RunSummary }) {
  return (
    <span>
      <Link
        to="/projects/$project/runs/$number"
        params={{ project: run.project, number: String(run.number) }}
        className="plain-link"
      >
        #{run.number}
      </Link>{' '}
      {wordOf(lookOfRun(run.state))}, <Ago at={run.finished_at ?? run.created_at} />
    </span>
  );
}

function NoPipelines({ found }: { found: PipelinesView }) {
  if (found.files.length > 0) {
    return <Empty title="None can be used yet">What is wrong stands above, with the place of each.</Empty>;
  }
  return (
    <Empty icon={<IconFlask size={28} stroke={1.4} />} title="There is no pipeline file yet">
      <FirstFile />
    </Empty>
  );
}
