/** The graphs of both runs; a step that is chosen in one is shown in the other one, too. */
import { useMemo } from 'react';
import type { RunView } from '@/api';
import { graphOfRun, StepGraph } from '@/pages/run/graph/graph';
import classes from './compare.module.css';

interface GraphsProps {
  before: RunView;
  after: RunView;
  selected: string | undefined;
  onSelect: (key: string | undefined) => void;
}

export function Graphs({ before, after, selected, onSelect }: GraphsProps) {
  return (
    <div className={classes.graphs}>
      <RunGraph run={before} selected={selected} onSelect={onSelect} />
      <RunGraph run={after} selected={selected} onSelect={onSelect} />
    </div>
  );
}

function RunGraph({ run, selected, onSelect }: { run: RunView } & Pick<GraphsProps, 'selected' | 'onSelect'>) {
  const graph = useMemo(() => graphOfRun(run), [run]);
  return (
    <div className={classes.graph}>
      <StepGraph graph={graph} selected={selected} onSelect={onSelect} label={`Graph of #${run.number}`} />
    </div>
  );
}
