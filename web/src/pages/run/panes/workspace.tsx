import type { PaneProps } from './pane';

export function WorkspacePane({ step }: PaneProps) {
  return <p>{step.name}</p>;
}
