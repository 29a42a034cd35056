/** Why a step does not run yet, as the server explains it. */
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useCallback, useEffect, useMemo } from 'react';
import { explainWaitingOptions, type RunView, type StepView } from '@/api';
import { useRunNews } from '@/api/live';
import { Duration } from '@/ui/time';
import classes from './panel.module.css';

export function Why({ run, step }: { run: RunView; step: StepView }) {
  const queries = useQueryClient();
  const options = useMemo(() => explainWaitingOptions({ path: { run: run.id, step: step.key } }), [run.id, step.key]);
  const { data } = useQuery(options);
  const again = useCallback(() => void queries.invalidateQueries({ queryKey: options.queryKey }), [queries, options]);
  // What stands before it in the queue may belong to any run.
  useRunNews(again);
  // biome-ignore lint/correctness/useExhaustiveDependencies: whatever changed of the run may have changed the answer
  useEffect(again, [run, again]);
  if (!data) return null;
  return (
    <p className={classes.remark} data-outcome="waiting">
      <b>{data.waits_for === 'nothing' ? 'It waits no more.' : 'It waits.'}</b> {data.message}
      {data.since !== null && data.since !== undefined && (
        <span className="faint">
          {' '}
          · <Duration from={data.since} />
        </span>
      )}
    </p>
  );
}
