/** How states look: one colour, one shape, one word each. */
import {
  IconAlertTriangleFilled,
  IconCircleCheckFilled,
  IconCircleDashed,
  IconCircleMinus,
  IconCircleXFilled,
  IconClockHour4,
  IconHandStop,
  IconPlayerPauseFilled,
  IconPlayerPlayFilled,
  IconProgress,
} from '@tabler/icons-react';
import type { ComponentType } from 'react';
import type { RunState, StepView } from '@/api';
import classes from './states.module.css';

/** What is shown of a run, a step, an attempt or a pipeline. */
export type Look =
  | 'succeeded'
  | 'failed'
  | 'errored'
  | 'cancelled'
  | 'skipped'
  | 'running'
  | 'waiting'
  | 'pending'
  | 'approval'
  | 'serving'
  | 'held';

const ICONS: Record<Look, ComponentType<{ size?: number; className?: string; 'aria-hidden'?: boolean }>> = {
  succeeded: IconCircleCheckFilled,
  failed: IconCircleXFilled,
  errored: IconAlertTriangleFilled,
  cancelled: IconCircleMinus,
  skipped: IconCircleDashed,
  running: IconProgress,
  waiting: IconClockHour4,
  pending: IconCircleDashed,
  approval: IconHandStop,
  serving: IconPlayerPlayFilled,
  held: IconPlayerPauseFilled,
};

const COLOURS: Record<Look, string> = {
  succeeded: 'var(--state-succeeded)',
  failed: 'var(--state-failed)',
  errored: 'var(--state-errored)',
  cancelled: 'var(--state-cancelled)',
  skipped: 'var(--state-skipped)',
  running: 'var(--state-running)',
  waiting: 'var(--state-waiting)',
  pending: 'var(--state-pending)',
  approval: 'var(--state-waiting)',
  serving: 'var(--state-running)',
  held: 'var(--state-waiting)',
};

const WORDS: Record<Look, string> = {
  succeeded: 'succeeded',
  failed: 'failed',
  errored: 'errored',
  cancelled: 'cancelled',
  skipped: 'skipped',
  running: 'running',
  waiting: 'waiting',
  pending: 'not yet',
  approval: 'waits for approval',
  serving: 'serving',
  held: 'held',
};

export const colourOf = (look: Look) => COLOURS[look];
export const wordOf = (look: Look) => WORDS[look];

export function lookOfRun(state: RunState): Look {
  return state === 'cancelling' ? 'running' : state;
}

export function lookOfStep(step: Pick<StepView, 'state' | 'outcome' | 'approve' | 'holder' | 'returning'>): Look {
  if (step.returning) return 'waiting'; // what it serves was lost, and is brought back
  if (step.state === 'serving') return 'serving'; // it has succeeded already, and is still up
  if (step.outcome) return step.outcome;
  switch (step.state) {
    case 'running':
      return 'running';
    case 'waiting':
      return step.approve.length > 0 && !step.holder ? 'approval' : 'waiting';
    case 'queued':
    case 'backoff':
    case 'preparing':
      return 'waiting';
    default:
      return 'pending';
  }
}

export function StateIcon({ look, size = 16 }: { look: Look; size?: number }) {
  const Icon = ICONS[look];
  return (
    <span className={classes.icon} data-look={look} style={{ color: COLOURS[look] }} title={WORDS[look]}>
      <Icon size={size} aria-hidden />
      <span className="visually-hidden">{WORDS[look]}</span>
    </span>
  );
}

export function StateLabel({ look, word }: { look: Look; word?: string }) {
  const Icon = ICONS[look];
  return (
    <span className={classes.label} data-look={look} style={{ color: COLOURS[look] }}>
      <span className={classes.icon} data-look={look}>
        <Icon size={14} aria-hidden />
      </span>
      {word ?? WORDS[look]}
    </span>
  );
}
