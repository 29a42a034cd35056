/** How a pipeline has done: durations, where the time goes, what fails and whose fault it is, and its runs. */
import { Button, Select, Skeleton } from '@mantine/core';
import { IconFileCode, IconHistory, IconPlayerPlay } from '@tabler/icons-react';
import { keepPreviousData, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { lazy, Suspense, useCallback } from 'react';
import {
  type HoldView,
  listRefsOptions,
  type PipelineFigures,
  pipelineFiguresOptions,
  pipelineFiguresQueryKey,
} from '@/api';
import { useRunNews } from '@/api/live';
import { useRunList } from '@/api/run-list';
import { useMay } from '@/app/session';
import { clearButton } from '@/ui/clear-button';
import { HeldNote, heldTitle, useHold } from '@/ui/held';
import { Page } from '@/ui/page';
import { Empty, Loaded } from '@/ui/panels';
import { RunList } from '@/ui/runs';
import { Section } from '@/ui/section';
import { lookOfRun } from '@/ui/states';
import { Figures, Reasons } from './figures';
import classes from './history.module.css';
import { HoldButton } from './hold-button';
import { StepsTable } from './steps-table';

const FROM = '/shell/projects/$project/pipelines/$pipeline';
const LAST = 100; // runs
const DurationChart = lazy(() => import('./duration-chart'));

export function History() {
  const path = useParams({ from: FROM });
  const { branch } = useSearch({ from: FROM });
  const figures = useFigures(path, branch);
  const runs = useRunList({ ...path, branch }, 30);
  const hold = useHold(path.project, path.pipeline);
  const newest = runs.data?.pages[0]?.items[0];
  return (
    <Page
      title={path.pipeline}
      crumbs={[{ label: path.project, to: `/projects/${path.project}` }]}
      look={newest && lookOfRun(newest.state)}
      actions={<Actions {...path} branch={branch} hold={hold} />}
    >
      {hold && (
        <div className={classes.held}>
          <HeldNote hold={hold} />
        </div>
      )}
      <Loaded query={figures} rows={6}>
        {(found) => (found.runs.length > 0 ? <Lately project={path.project} figures={found} /> : null)}
      </Loaded>
      <Section title="Runs" bare>
        <RunList query={runs} of="pipeline" none={<NeverRan branch={branch} {...path} held={hold !== null} />} />
      </Section>
    </Page>
  );
}

function useFigures(path: { project: string; pipeline: string }, branch = '') {
  const queries = useQueryClient();
  const options = { path, query: { last: LAST, branch } };
  const key = JSON.stringify(pipelineFiguresQueryKey(options));
  const { project, pipeline } = path;
  useRunNews(
    useCallback(
      (run) => {
        if (run.project !== project || run.pipeline !== pipeline || run.finished_at === null) return;
        void queries.invalidateQueries({ queryKey: JSON.parse(key) });
      },
      [queries, key, project, pipeline],
    ),
  );
  return useQuery({ ...pipelineFiguresOptions(options), placeholderData: keepPreviousData });
}

function Lately({ project, figures }: { project: string; figures: PipelineFigures }) {
  return (
    <>
      <div className={classes.lately}>
        <Figures figures={figures} />
        <Suspense fallback={<Skeleton height={220} />}>
          <DurationChart project={project} figures={figures} />
        </Suspense>
      </div>
      <div className={classes.columns}>
        <Section title="Steps" bare>
          <StepsTable project={project} figures={figures} />
        </Section>
        <Section title="What goes wrong" bare>
          <Reasons reasons={figures.reasons} />
        </Section>
      </div>
    </>
  );
}

interface ActionsProps {
  project: string;
  pipeline: string;
  branch?: string;
  hold: HoldView | null;
}

function Actions({ project, pipeline, branch, hold }: ActionsProps) {
  const may = useMay();
  const path = { project, pipeline };
  const ref = branch ? { ref: branch } : {};
  return (
    <>
      <BranchFilter project={project} branch={branch} />
      <Button
        variant="default"
        leftSection={<IconFileCode size={15} aria-hidden />}
        renderRoot={(props) => (
          <Link to="/projects/$project/pipelines/$pipeline/file" params={path} search={ref} {...props} />
        )}
      >
        Pipeline file
      </Button>
      <HoldButton {...path} hold={hold} />
      {may('run.start', project) && <Run {...path} branch={branch} hold={hold} />}
    </>
  );
}

function Run({ project, pipeline, branch, hold }: ActionsProps) {
  const icon = <IconPlayerPlay size={15} aria-hidden />;
  if (hold) {
    return (
      <Button leftSection={icon} disabled title={heldTitle(hold)}>
        Run
      </Button>
    );
  }
  return (
    <Button
      leftSection={icon}
      renderRoot={(props) => (
        <Link
          to="/projects/$project/pipelines/$pipeline/start"
          params={{ project, pipeline }}
          search={branch ? { ref: branch } : {}}
          {...props}
        />
      )}
    >
      Run
    </Button>
  );
}

function BranchFilter({ project, branch }: { project: string; branch?: string }) {
  const navigate = useNavigate();
  const refs = useQuery(listRefsOptions({ path: { project }, query: { limit: 200 } })).data ?? [];
  const names = refs.filter((ref) => ref.kind === 'branch').map((ref) => ref.name);
  return (
    <Select
      className={classes.branch}
      size="xs"
      aria-label="Branch"
      placeholder="All branches"
      data={branch && !names.includes(branch) ? [branch, ...names] : names}
      value={branch ?? null}
      onChange={(chosen) => void navigate({ to: '.', search: chosen ? { branch: chosen } : {}, resetScroll: false })}
      searchable
      clearable
      clearButtonProps={clearButton('All branches')}
    />
  );
}

function NeverRan({ branch, project, held }: { branch?: string; project: string; held: boolean }) {
  const may = useMay();
  return (
    <Empty icon={<IconHistory size={28} stroke={1.5} />} title={branch ? `Never run on ${branch}` : 'Never run'}>
      <p>
        {may('run.start', project) && !held
          ? 'Start it with the Run button above, or wait for what triggers it.'
          : 'It will run when something triggers it.'}
      </p>
    </Empty>
  );
}
