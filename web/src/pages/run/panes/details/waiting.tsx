/** Why a step does not run yet, in the words of the server. */
import { useQuery } from '@tanstack/react-query';
import { api } from '@/api';
import { Ago } from '@/ui/time';
import type { PaneProps } from '../pane';

/** Asked again whenever the step or what is before it has changed. */
export function WhyItWaits({ run, step }: Pick<PaneProps, 'run' | 'step'>) {
  const ended = run.steps.filter((each) => each.state === 'done').length;
  const waiting = useQuery({
    queryKey: ['waiting', run.id, step.key, step.state, ended],
    queryFn: async () => (await api.explainWaiting({ path: { run: run.id, step: step.key } })).data,
  });
  if (!waiting.data) return null;
  const { message, since } = waiting.data;
  return (
    <p>
      {message.charAt(0).toUpperCase() + message.slice(1)}.
      {since !== null && (
        <span className="faint">
          {' '}
          It has waited since <Ago at={since} />.
        </span>
      )}
    </p>
  );
}
