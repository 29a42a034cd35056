/** The services of an attempt: image, and how its container ended. */
import { Badge } from '@mantine/core';
import type { AttemptView, ServiceResult, StepView } from '@/api';
import { Copy } from '@/ui/small';
import classes from './details.module.css';

export function Services({ step, attempt }: { step: StepView; attempt: AttemptView }) {
  const names = [...new Set([...step.main, ...Object.keys(attempt.images), ...Object.keys(attempt.services ?? {})])];
  if (names.length === 0) return <p className="faint">Not known yet.</p>;
  return (
    <div className={classes.scroll}>
      <table className={classes.table}>
        <thead>
          <tr>
            <th scope="col">Service</th>
            <th scope="col">How it ended</th>
            <th scope="col">Image</th>
          </tr>
        </thead>
        <tbody>
          {names.map((name) => (
            <tr key={name}>
              <th scope="row">
                {name}{' '}
                {step.main.includes(name) && (
                  <Badge color="gray" className={classes.badge}>
                    main
                  </Badge>
                )}
              </th>
              <td>
                <End result={attempt.services?.[name]} />
              </td>
              <td>
                <Image digest={attempt.images[name]} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function End({ result }: { result: ServiceResult | undefined }) {
  if (!result) return <span className="faint">not known</span>;
  return (
    <span className={classes.end} data-bad={(result.exit_code ?? 0) !== 0 || result.oom_killed || undefined}>
      {result.status === 'running' ? 'still ran when the step was over' : result.status}
      {result.status !== 'running' &&
        result.exit_code !== null &&
        result.exit_code !== undefined &&
        ` with ${result.exit_code}`}
      {result.oom_killed && ', out of memory'}
      {result.error && `: ${result.error}`}
    </span>
  );
}

function Image({ digest }: { digest: string | undefined }) {
  if (!digest) return <span className="faint">not known</span>;
  return (
    <span className={classes.digest}>
      <code title={digest}>{digest.replace(/^(.*sha256:[0-9a-f]{12})[0-9a-f]+$/, '$1…')}</code>
      <Copy value={digest} label="Copy the digest" />
    </span>
  );
}
