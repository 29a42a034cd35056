import { IconServer2 } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { listRunnersOptions, listRunnersQueryKey, listWorkOptions, type RunnerInfo, type WorkView } from '@/api';
import { useMay } from '@/app/session';
import { Page } from '@/ui/page';
import { Empty, Loaded } from '@/ui/panels';
import { Section } from '@/ui/section';
import { AddRunner } from './add-runner';
import { RunnerCard } from './runner-card';
import classes from './runners.module.css';
import { Server } from './server';
import { byRunner } from './work';

/** The machines that execute steps: how loaded they are, and what each runs now. Kept current by src/api/live.ts. */
export function Runners() {
  const may = useMay();
  if (may('runner.read')) return <AllRunners />;
  return (
    <Page title="Runners">
      <Empty title="Log in to see the machines">They are shown to everybody with an account.</Empty>
    </Page>
  );
}

function AllRunners() {
  const runners = useQuery(listRunnersOptions());
  const work = useQuery(listWorkOptions({ query: { limit: 200 } }));
  const may = useMay();
  return (
    <Page title="Runners" actions={may('runner.register') && <AddRunner />}>
      <Loaded query={runners}>{(all) => <Machines runners={all} work={work.data ?? []} />}</Loaded>
      <Server />
    </Page>
  );
}

export function useFreshRunners() {
  const queries = useQueryClient();
  return () => queries.invalidateQueries({ queryKey: listRunnersQueryKey() });
}

function Machines({ runners, work }: { runners: RunnerInfo[]; work: WorkView[] }) {
  const held = byRunner(work);
  const present = runners.filter((runner) => runner.state !== 'revoked');
  const gone = runners.filter((runner) => runner.state === 'revoked');
  if (present.length === 0) {
    return (
      <div className={classes.none}>
        <Empty icon={<IconServer2 size={30} stroke={1.4} />} title="No runner">
          The server was started with FLOW_RUNNER=false: nothing runs until a runner is added on another machine.
        </Empty>
      </div>
    );
  }
  return (
    <>
      <ul className={classes.cards} aria-label="Runners">
        {present.map((runner) => (
          <RunnerCard key={runner.name} runner={runner} work={held.get(runner.name) ?? []} />
        ))}
      </ul>
      {gone.length > 0 && (
        <Section title="Revoked" about="Their keys open nothing any more; the names are free.">
          {gone.map((runner) => runner.name).join(', ')}
        </Section>
      )}
    </>
  );
}
