/** What waits for a person: a bar above all else, because everybody after it waits, too. */
import { Button, TextInput } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, getRunQueryKey, type RunView, type StepView } from '@/api';
import { useMay } from '@/app/session';
import { StateIcon } from '@/ui/states';
import { Duration } from '@/ui/time';
import classes from './approvals.module.css';
import { waitsForApproval } from './order';

/** Of the first button of the first bar: where the key for approving leads. */
export const APPROVE_BUTTON = 'approve-step';

export function Approvals({ run, onStep }: { run: RunView; onStep: (key: string) => void }) {
  const waiting = run.finished_at === null ? run.steps.filter(waitsForApproval) : [];
  return waiting.map((step, place) => (
    <Approval key={step.key} run={run} step={step} onStep={onStep} first={place === 0} />
  ));
}

interface ApprovalProps {
  run: RunView;
  step: StepView;
  onStep: (key: string) => void;
  first: boolean;
}

function Approval({ run, step, onStep, first }: ApprovalProps) {
  const may = useMay();
  const since = lastEnd(run, step);
  return (
    <section className={classes.bar} aria-label={`Approval of ${step.key}`}>
      <StateIcon look="approval" size={17} />
      <span className={classes.text}>
        <button type="button" onClick={() => onStep(step.key)}>
          {step.key}
        </button>{' '}
        waits for approval by {step.approve.join(', ')}
        {step.environment && (
          <>
            {' '}
            to act on <b>{step.environment}</b>
          </>
        )}
        {since !== null && (
          <span className="faint">
            {' '}
            · <Duration from={since} />
          </span>
        )}
      </span>
      {may('run.approve', run.project) && <Verdict run={run.id} step={step.key} first={first} />}
    </section>
  );
}

function Verdict({ run, step, first }: { run: string; step: string; first: boolean }) {
  const queries = useQueryClient();
  const [comment, setComment] = useState('');
  const decide = useMutation({
    mutationFn: (verdict: 'approve' | 'reject') => {
      const request = { path: { run, step }, body: { comment } };
      return verdict === 'approve' ? api.approveStep(request) : api.rejectStep(request);
    },
    onSuccess: () => void queries.invalidateQueries({ queryKey: getRunQueryKey({ path: { run } }) }),
  });
  return (
    <form className={classes.verdict} onSubmit={(event) => event.preventDefault()}>
      <TextInput
        size="xs"
        aria-label="Comment"
        placeholder="Comment"
        maxLength={4096}
        value={comment}
        onChange={(event) => setComment(event.currentTarget.value)}
      />
      <Button
        id={first ? APPROVE_BUTTON : undefined}
        color="green"
        loading={decide.isPending && decide.variables === 'approve'}
        disabled={decide.isPending}
        onClick={() => decide.mutate('approve')}
      >
        Approve
      </Button>
      <Button
        variant="default"
        loading={decide.isPending && decide.variables === 'reject'}
        disabled={decide.isPending}
        onClick={() => decide.mutate('reject')}
      >
        Reject
      </Button>
    </form>
  );
}

/** Since when it waits: the last of the steps before it has ended then. */
function lastEnd(run: RunView, step: StepView): number | null {
  const before = new Set(
    run.edges.filter(({ target, state }) => target === step.key && state === 'taken').map((e) => e.source),
  );
  const ends = run.steps.filter(({ key }) => before.has(key)).map(({ finished_at }) => finished_at ?? 0);
  return ends.length > 0 && Math.max(...ends) > 0 ? Math.max(...ends) : null;
}
