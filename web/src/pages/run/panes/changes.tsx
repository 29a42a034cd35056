import type { PaneProps } from './pane';

export function ChangesPane({ step }: PaneProps) {
  return <p>{step.name}</p>;
}
