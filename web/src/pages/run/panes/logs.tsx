import type { PaneProps } from './pane';

export function LogPane({ step }: PaneProps) {
  return <p>{step.name}</p>;
}
