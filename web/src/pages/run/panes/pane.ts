import type { AttemptView, RunView, StepView } from '@/api';

/** What a pane beside the graph shows: one attempt of one step. `attempt` is missing for as long as the step has none. */
export interface PaneProps {
  run: RunView;
  step: StepView;
  attempt: AttemptView | undefined;
}
