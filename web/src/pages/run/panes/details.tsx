import type { PaneProps } from './pane';

export function DetailsPane({ step }: PaneProps) {
  return <p>{step.name}</p>;
}
