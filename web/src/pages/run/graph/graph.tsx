/** The graph of a run or of a pipeline file. What draws it is large, and comes when it is needed. */
import { Skeleton } from '@mantine/core';
import { CatchBoundary } from '@tanstack/react-router';
import { lazy, Suspense } from 'react';
import { ErrorPanel } from '@/ui/panels';
import classes from './graph.module.css';
import type { Graph } from './model';

export { type Graph, graphOfPipeline, graphOfRun } from './model';

export interface StepGraphProps {
  graph: Graph;
  /** Key of the step that is chosen. */
  selected?: string;
  /** Called without a key when nothing shall be chosen any more. */
  onSelect?: (key: string | undefined) => void;
  label: string;
}

const Canvas = lazy(() => import('./canvas'));

/** Fills its parent, which must have a height. */
export function StepGraph(props: StepGraphProps) {
  return (
    <section className={classes.graph} aria-label={props.label}>
      <CatchBoundary
        getResetKey={() => props.label}
        errorComponent={({ error }) => <ErrorPanel error={error} retry={() => window.location.reload()} />}
      >
        <Suspense fallback={<Skeleton height="100%" radius={0} className={classes.loading} />}>
          <Canvas {...props} />
        </Suspense>
      </CatchBoundary>
    </section>
  );
}
