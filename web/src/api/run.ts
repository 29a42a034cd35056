/** A run that is looked at: read once, then kept current by what the server tells of it. */
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { getRunOptions, getRunQueryKey } from './generated/@tanstack/react-query.gen';
import type { EdgeView, RunView } from './generated/types.gen';
import { followWhileSeen, type StreamState } from './stream';

interface Message {
  patch: { run: RunView } | null;
}

/** Return the view that a patch was made from; steps and edges of a run stay in their places. See client/patches.py. */
export function applyPatch(before: RunView | undefined, patch: { run: RunView }, first: boolean): RunView {
  if (!before || first) return patch.run;
  const steps = new Map(patch.run.steps.map((step) => [step.key, step]));
  const edges = new Map(patch.run.edges.map((edge) => [ends(edge), edge]));
  return {
    ...patch.run,
    steps: before.steps.map((step) => steps.get(step.key) ?? step),
    edges: before.edges.map((edge) => edges.get(ends(edge)) ?? edge),
  };
}

const ends = (edge: EdgeView) => JSON.stringify([edge.source, edge.target, edge.kind, edge.condition]);

/** The run as it is now. `live`: whether news arrive; undefined once there can be none. */
export function useRun(id: string) {
  const queries = useQueryClient();
  const query = useQuery({ ...getRunOptions({ path: { run: id } }), enabled: id !== '' });
  const [live, setLive] = useState<StreamState>();
  const known = query.data !== undefined;
  const going = query.data?.finished_at === null;

  useEffect(() => {
    if (!known || !going) return;
    let first = true;
    const stop = followWhileSeen(() => `/api/v1/runs/${id}/events`, {
      on: {
        update: (data) => {
          const { patch } = data as Message;
          if (patch === null) return; // an event that changes nothing to be seen
          const whole = first;
          first = false;
          queries.setQueryData<RunView>(getRunQueryKey({ path: { run: id } }), (run) => applyPatch(run, patch, whole));
        },
        end: () => void queries.invalidateQueries({ queryKey: getRunQueryKey({ path: { run: id } }) }),
      },
      onState: (state) => {
        if (state !== 'open') first = true; // a new connection begins with all of it
        setLive(state);
      },
    });
    return () => {
      stop();
      setLive(undefined);
    };
  }, [id, known, going, queries]);

  return { ...query, run: query.data, live };
}
