/** What a step changed: variables, and files one below the other. */
import { Empty } from '@/ui/panels';
import classes from './changes/changes.module.css';
import { Files } from './changes/files';
import { VariableChanges } from './changes/variables';
import type { PaneProps } from './pane';

export function ChangesPane({ run, step, attempt }: PaneProps) {
  const result = step.result_commit;
  const latest = step.attempts.at(-1);
  if (result === null) {
    const ran = step.state !== 'done';
    return <Empty title={ran ? 'What it changes is known when it has ended' : 'It changed nothing: it did not run'} />;
  }
  return (
    <div className={classes.pane}>
      {attempt && latest && attempt.attempt !== latest.attempt && (
        <p className={classes.note}>These are the changes of attempt {latest.attempt}, the latest one.</p>
      )}
      <VariableChanges run={run.id} step={step.key} result={result} />
      <Files run={run.id} step={step.key} result={result} counts={latest?.changes ?? {}} />
    </div>
  );
}
