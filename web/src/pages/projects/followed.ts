/** What followed from a delivery, a line for each pipeline or reason. */
import type { DeliverySummary } from '@/api';
import type { Look } from '@/ui/states';

export interface Line {
  text: string;
  pipeline?: string;
  /** The id of the run that began. */
  run?: string;
  problem?: boolean;
  /** It would begin, if it were approved. */
  wanted?: boolean;
}

/** What the API tells of an event, as far as it is shown. */
export interface DeliveredEvent {
  event?: string;
  branch?: string;
  tag?: string;
  commit?: string;
  actor?: string;
  title?: string;
  url?: string;
  pull_request?: number;
  author?: string;
  target?: string;
  why?: string;
  problem?: string;
  cancelled?: string[];
  pipelines?: { pipeline: string; why?: string; run?: string; problem?: string; starts?: boolean }[];
}

type Result = DeliverySummary['result'];

export function eventsOf(result: Result): DeliveredEvent[] {
  return Array.isArray(result.events) ? (result.events as DeliveredEvent[]) : [];
}

/** The commit that an approval is about; undefined where none is waited for. */
export function commitOf(delivery: Pick<DeliverySummary, 'state' | 'result'>): string | undefined {
  const { commit } = delivery.result;
  return delivery.state === 'waiting' && typeof commit === 'string' ? commit : undefined;
}

/** What began or would begin, and what went wrong, come first: where there is room for a few lines, these are the ones. */
export function linesOf(result: Result): Line[] {
  const lines: Line[] = [];
  if (typeof result.problem === 'string') lines.push({ text: result.problem, problem: true });
  if (typeof result.note === 'string' && result.note) lines.push({ text: result.note });
  for (const event of eventsOf(result)) {
    if (event.problem) lines.push({ text: event.problem, problem: true });
    if (event.why) lines.push({ text: event.why });
    for (const each of event.pipelines ?? []) lines.push(lineOf(each));
  }
  const weight = (line: Line) => (line.problem || line.run || line.wanted ? 0 : 1);
  return lines.sort((a, b) => weight(a) - weight(b));
}

function lineOf({ pipeline, run, problem, why, starts }: NonNullable<DeliveredEvent['pipelines']>[number]): Line {
  if (problem) return { pipeline, text: problem, problem: true };
  if (run) return { pipeline, run, text: 'started' };
  return { pipeline, text: why ?? 'did not start', ...(starts && { wanted: true }) };
}

const LOOKS: Record<DeliverySummary['state'], Look> = {
  received: 'running',
  waiting: 'approval',
  done: 'succeeded',
  ignored: 'skipped',
  failed: 'failed',
};

const WORDS: Record<DeliverySummary['state'], string> = {
  received: 'being looked at',
  waiting: 'waits for approval',
  done: 'something began',
  ignored: 'nothing followed',
  failed: 'failed',
};

export const lookOf = (delivery: DeliverySummary): Look => LOOKS[delivery.state];
export const wordOf = (delivery: DeliverySummary): string => WORDS[delivery.state];
