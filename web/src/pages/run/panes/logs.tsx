/** The log of an attempt: or why there is none, and where it comes from when the attempt did not run. */
import { Link } from '@tanstack/react-router';
import { useMemo } from 'react';
import { Empty } from '@/ui/panels';
import { StateIcon } from '@/ui/states';
import { WhyItWaits } from './details/waiting';
import classes from './logs/logs.module.css';
import { Viewer } from './logs/viewer';
import type { PaneProps } from './pane';

export function LogPane({ run, step, attempt }: PaneProps) {
  const images = attempt?.images;
  const services = useMemo(() => Object.keys(images ?? {}), [images]);
  if (!attempt)
    return (
      <>
        <Origin run={run} step={step} attempt={attempt} />
        <div className={classes.without}>
          <Without run={run} step={step} />
        </div>
      </>
    );
  const failed = attempt.outcome === 'failed' || attempt.outcome === 'errored';
  return (
    <Viewer
      key={`${run.id} ${step.key} ${attempt.attempt}`}
      run={run.id}
      step={step.key}
      attempt={attempt.attempt}
      begin={attempt.started_at ?? attempt.queued_at ?? run.created_at}
      services={services}
      fromEnd={failed || attempt.outcome === null}
      note={<Origin run={run} step={step} attempt={attempt} />}
    />
  );
}

function Without({ run, step }: Pick<PaneProps, 'run' | 'step'>) {
  if (step.state === 'done') {
    return (
      <Empty
        icon={<StateIcon look={step.outcome ?? 'pending'} size={24} />}
        title={step.reused ? 'Not run again in this run' : 'It did not run, so it printed nothing'}
      >
        {step.reused
          ? 'The log is where it did run.'
          : step.message || 'There was nothing to do for this step in this run.'}
      </Empty>
    );
  }
  return (
    <Empty icon={<StateIcon look="waiting" size={24} />} title="Nothing printed yet">
      <WhyItWaits run={run} step={step} />
    </Empty>
  );
}

function Origin({ run, step, attempt }: PaneProps) {
  const from = attempt?.cached
    ? {
        number: attempt.cached.number,
        step: attempt.cached.step,
        words: 'This result was taken from the step cache. It is that of',
      }
    : step.reused && run.rerun_of !== null
      ? { number: run.rerun_of, step: step.key, words: 'This step was not run again. Its result is that of' }
      : undefined;
  if (!from) return null;
  return (
    <div className={classes.note}>
      {from.words}{' '}
      <Link
        to="/projects/$project/runs/$number"
        params={{ project: run.project, number: String(from.number) }}
        search={{ step: from.step, tab: 'logs' }}
      >
        step {from.step} of run #{from.number}
      </Link>
      ; its log is there.
    </div>
  );
}
