/** A pipeline that somebody holds: nothing of it begins. How that is shown, and told to who would start it. */
import { useQuery } from '@tanstack/react-query';
import { type HoldView, listAllPipelinesOptions } from '@/api';
import classes from './held.module.css';
import { StateIcon } from './states';
import { Ago } from './time';

/** Who holds a pipeline, also one that is no longer on the default branch. Kept current by src/api/live.ts. */
export function useHold(project: string, pipeline: string): HoldView | null {
  const { data } = useQuery(listAllPipelinesOptions({ query: { project, last: 1 } }));
  const found = data?.find((each) => each.name === project)?.pipelines;
  return found?.find((each) => each.name === pipeline)?.hold ?? null;
}

/** Why a button that would start something does not. */
export const heldTitle = ({ by, reason }: HoldView) => (reason ? `Held by ${by}: ${reason}` : `Held by ${by}`);

/** On one line: by whom, since when, why. */
export function Held({ hold }: { hold: HoldView }) {
  return (
    <span className={classes.held} title={heldTitle(hold)}>
      <StateIcon look="held" size={14} />
      <span className={classes.words}>
        held by {hold.by}, <Ago at={hold.at} />
        {hold.reason && `: ${hold.reason}`}
      </span>
    </span>
  );
}

/** Above all else on a page of such a pipeline. */
export function HeldNote({ hold }: { hold: HoldView }) {
  return (
    <div role="status" className={classes.note}>
      <span className={classes.icon}>
        <StateIcon look="held" />
      </span>
      <div>
        <p>
          Held by <strong>{hold.by}</strong>, <Ago at={hold.at} />
          {hold.reason && `: ${hold.reason}`}
        </p>
        <p className="faint">
          Nothing of it begins, for whatever reason, until somebody lets it go. Runs that are there go on.
        </p>
      </div>
    </div>
  );
}
