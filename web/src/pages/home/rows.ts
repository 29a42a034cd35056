/** Which pipelines the home page shows, in which order. */
import type { PipelineGlance, ProjectGlance, RunSummary } from '@/api';

export const STATES = ['failing', 'running'] as const;
export type StateFilter = (typeof STATES)[number];

export interface Filter {
  q?: string;
  state?: string;
  project?: string;
}

export type Row =
  | { kind: 'project'; key: string; project: ProjectGlance; shown: number }
  | { kind: 'pipeline'; key: string; project: ProjectGlance; pipeline: PipelineGlance }
  | { kind: 'none'; key: string; project: ProjectGlance };

const newestEnded = (pipeline: PipelineGlance): RunSummary | undefined =>
  pipeline.runs.find((run) => run.finished_at !== null && run.state !== 'cancelled');

function isFailing(pipeline: PipelineGlance): boolean {
  const run = newestEnded(pipeline);
  return run?.state === 'failed' || run?.state === 'errored';
}

const isRunning = (pipeline: PipelineGlance) => pipeline.runs.some((run) => run.finished_at === null);

const fits = { failing: isFailing, running: isRunning };

/** Every word must be in the name of the project or of the pipeline, or in what the pipeline is for. */
function matcher(q: string) {
  const words = q
    .toLowerCase()
    .split(/[\s/]+/)
    .filter(Boolean);
  return (project: ProjectGlance, pipeline?: PipelineGlance) => {
    const text = `${project.name} ${pipeline?.name ?? ''} ${pipeline?.description ?? ''}`.toLowerCase();
    return words.every((word) => text.includes(word));
  };
}

/** The projects, each followed by those of its pipelines that fit. A project without any is shown unless it is filtered for. */
export function rowsOf(projects: ProjectGlance[], { q = '', state, project: only }: Filter): Row[] {
  const matches = matcher(q);
  return projects.flatMap((project): Row[] => {
    if (only && project.name !== only) return [];
    const pipelines = project.pipelines.filter(
      (pipeline) => matches(project, pipeline) && (fits[state as StateFilter]?.(pipeline) ?? true),
    );
    const head: Row = { kind: 'project', key: project.name, project, shown: pipelines.length };
    if (pipelines.length === 0) {
      const bare = project.pipelines.length === 0 && state === undefined && matches(project);
      return bare ? [head, { kind: 'none', key: `${project.name}/`, project }] : [];
    }
    return [
      head,
      ...pipelines.map(
        (pipeline): Row => ({ kind: 'pipeline', key: `${project.name}/${pipeline.name}`, project, pipeline }),
      ),
    ];
  });
}

/** How many pipelines there are of each state, for the buttons that choose one. */
export function counts(projects: ProjectGlance[]): Record<StateFilter | 'all', number> {
  const all = projects.flatMap((project) => project.pipelines);
  return { all: all.length, failing: all.filter(isFailing).length, running: all.filter(isRunning).length };
}

export const percent = (rate: number) => `${Math.floor(rate * 100)}%`;
