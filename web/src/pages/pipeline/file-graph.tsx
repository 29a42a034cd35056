/** The graph of a pipeline as its file is typed; what cannot be used keeps its last graph that could. */
import { Select } from '@mantine/core';
import { useMemo, useRef, useState } from 'react';
import type { PipelineView, ProjectLintAnswer } from '@/api';
import { graphOfPipeline, StepGraph } from '@/pages/run/graph/graph';
import { Empty } from '@/ui/panels';
import classes from './file.module.css';

interface FileGraphProps {
  /** That of the address. */
  pipeline: string;
  path: string;
  lint: ProjectLintAnswer | undefined;
}

export function FileGraph({ pipeline, path, lint }: FileGraphProps) {
  const [chosen, setChosen] = useState<string>();
  const inFile = lint?.pipelines.filter((each) => each.file === path) ?? [];
  const name = chosen ?? (pipeline === '-' ? inFile[0]?.name : pipeline) ?? pipeline;
  const last = useRef<PipelineView>(undefined);
  const now = lint?.pipelines.find((each) => each.name === name);
  if (now) last.current = now;
  const shown = now ?? (last.current?.name === name ? last.current : undefined);
  const text = JSON.stringify(shown && [shown.steps, shown.edges]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new answer with the same graph is not laid out again
  const graph = useMemo(() => shown && graphOfPipeline(shown), [text]);
  const names = [...new Set([name, ...inFile.map((each) => each.name)])].filter((each) => each !== '-');
  return (
    <div className={classes.graph}>
      <div className={classes.bar}>
        {names.length > 1 ? (
          <Select
            size="xs"
            aria-label="Pipeline"
            data={names}
            value={name}
            onChange={(value) => value && setChosen(value)}
            allowDeselect={false}
          />
        ) : (
          <strong>{names[0] ?? ''}</strong>
        )}
        {lint && !now && shown && <span className={classes.stale}>as it was before the errors</span>}
      </div>
      <div className={classes.canvas} data-stale={(graph && !now) || undefined}>
        {graph ? (
          <StepGraph graph={graph} label={`Graph of ${name}`} />
        ) : (
          lint && (
            <div className={classes.error}>
              <Empty title="No graph yet">
                <p>It is drawn as soon as nothing is wrong with the pipeline.</p>
              </Empty>
            </div>
          )
        )}
      </div>
    </div>
  );
}
