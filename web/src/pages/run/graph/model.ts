/** What the graph draws, of a run as of a pipeline file, and how steps are put into units that are laid out. */
import type { EdgeState, PipelineEdge, PipelineStep, RunView, StepView } from '@/api';
import { type Look, lookOfStep } from '@/ui/states';

export interface GraphStep {
  key: string;
  /** Instances of a matrix share it. */
  name: string;
  /** Missing in a pipeline that does not run. */
  look?: Look;
  startedAt?: number | null;
  finishedAt?: number | null;
  attempts?: number;
  node?: string;
  environment?: string;
  approval?: boolean;
  background?: boolean;
  allowFailure?: boolean;
  cached?: boolean;
  reused?: boolean;
}

export type EdgeKind = 'success' | 'fail' | 'always';

export interface GraphEdge {
  source: string;
  target: string;
  kind: EdgeKind;
  state?: EdgeState;
  condition?: string | null;
}

export interface Graph {
  steps: GraphStep[];
  edges: GraphEdge[];
}

/** A step, or all instances of a matrix: one thing for the layout. */
export interface Unit {
  id: string;
  members: GraphStep[];
}

/** Edges between the same units, of the same kind, under the same condition: drawn as one. */
export interface UnitEdge extends GraphEdge {
  id: string;
  /** It leads to something that runs. */
  moving: boolean;
}

const made = new WeakMap<StepView, GraphStep>();

/** Steps that have not changed since the last call are the same objects again, so that they need not be drawn again. */
export function graphOfRun(run: Pick<RunView, 'steps' | 'edges'>): Graph {
  const steps = run.steps.map((step) => {
    const before = made.get(step) ?? stepOfRun(step);
    made.set(step, before);
    return before;
  });
  return { steps, edges: run.edges };
}

function stepOfRun(step: StepView): GraphStep {
  return {
    key: step.key,
    name: step.name,
    look: lookOfStep(step),
    startedAt: step.started_at,
    finishedAt: step.finished_at,
    attempts: step.attempts.length,
    node: step.attempts.at(-1)?.node,
    approval: step.approve.length > 0,
    background: step.background,
    allowFailure: step.allow_failure,
    cached: step.cached,
    reused: step.reused,
  };
}

export function graphOfPipeline(pipeline: { steps: PipelineStep[]; edges: PipelineEdge[] }): Graph {
  const steps = pipeline.steps.map((step) => ({
    key: step.key,
    name: step.name,
    background: step.background,
    allowFailure: step.allow_failure,
    environment: step.environment ?? undefined,
  }));
  return { steps, edges: pipeline.edges.map((edge) => ({ ...edge, kind: edge.kind as EdgeKind })) };
}

export function unitsOf(steps: GraphStep[]): Unit[] {
  const units = new Map<string, Unit>();
  for (const step of steps) {
    const unit = units.get(step.name);
    if (unit) unit.members.push(step);
    else units.set(step.name, { id: step.name, members: [step] });
  }
  return [...units.values()];
}

/** The part of a key that tells an instance of a matrix from the others. */
export function instanceName(step: GraphStep): string {
  const rest = step.key.startsWith(step.name) ? step.key.slice(step.name.length).replace(/^[-_. ]+/, '') : '';
  return rest || step.key;
}

export function edgesOf({ steps, edges }: Graph): UnitEdge[] {
  const byKey = new Map(steps.map((step) => [step.key, step]));
  const merged = new Map<string, UnitEdge>();
  for (const edge of edges) {
    const source = byKey.get(edge.source)?.name;
    const target = byKey.get(edge.target);
    if (source === undefined || target === undefined || source === target.name) continue;
    const id = JSON.stringify([source, target.name, edge.kind, edge.condition ?? null]);
    const same = merged.get(id);
    const state = strongest(same?.state, edge.state);
    const moving = same?.moving || (edge.state === 'taken' && target.look === 'running');
    merged.set(id, { ...edge, id, source, target: target.name, state, moving });
  }
  return [...merged.values()];
}

const STRENGTH: (EdgeState | undefined)[] = [undefined, 'dead', 'pending', 'taken'];

function strongest(one: EdgeState | undefined, other: EdgeState | undefined): EdgeState | undefined {
  return STRENGTH.indexOf(one) > STRENGTH.indexOf(other) ? one : other;
}
