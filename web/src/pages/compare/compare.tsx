/** Two runs side by side: how their steps went, and what differs in inputs, variables and files. */
import { Button } from '@mantine/core';
import { IconArrowsExchange, IconGitCompare } from '@tabler/icons-react';
import { type UseQueryResult, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import { type ReactNode, useCallback, useState } from 'react';
import { compareRunsOptions, findRunOptions, type RunComparison, type RunSummary, type RunView } from '@/api';
import { useRunNews } from '@/api/live';
import { ChangedValues } from '@/ui/changed/values';
import { Page } from '@/ui/page';
import { ErrorPanel, Loaded } from '@/ui/panels';
import { Branch, CommitId, Trigger } from '@/ui/small';
import { lookOfRun, StateLabel } from '@/ui/states';
import { Ago, Duration } from '@/ui/time';
import classes from './compare.module.css';
import { Files } from './files';
import { Graphs } from './graphs';
import { Picker } from './picker';
import { Steps } from './steps';

export function Compare() {
  const { project, number, other } = useParams({ from: '/shell/projects/$project/runs/$number/compare/$other' });
  const [picking, setPicking] = useState(false);
  const before = useQuery(findRunOptions({ path: { project, name: number } }));
  const after = useQuery(findRunOptions({ path: { project, name: other } }));
  const error = before.error ?? after.error;
  return (
    <Page
      title={`#${number} and #${other}`}
      crumbs={[
        { label: project, to: `/projects/${project}` },
        { label: `#${number}`, to: `/projects/${project}/runs/${number}` },
      ]}
      actions={
        <>
          <Button
            variant="default"
            leftSection={<IconArrowsExchange size={14} />}
            renderRoot={(props) => (
              <Link
                to="/projects/$project/runs/$number/compare/$other"
                params={{ project, number: other, other: number }}
                {...props}
              />
            )}
          >
            Change places
          </Button>
          <Button variant="default" leftSection={<IconGitCompare size={14} />} onClick={() => setPicking(true)}>
            With another run
          </Button>
        </>
      }
    >
      {error && <ErrorPanel error={error} />}
      {before.data && after.data && <Both before={before.data} after={after.data} />}
      {picking && before.data && <Picker run={before.data} onClose={() => setPicking(false)} />}
    </Page>
  );
}

function Both({ before, after }: { before: RunView; after: RunView }) {
  const query = useComparison(before.id, after.id);
  const [step, setStep] = useState<string>();
  return (
    <Loaded query={query}>
      {(found) => (
        <div className={classes.parts}>
          <div className={classes.runs}>
            <RunCard word="Before" run={found.before} />
            <RunCard word="After" run={found.after} />
          </div>
          <Graphs before={before} after={after} selected={step} onSelect={setStep} />
          <Part title="Steps">
            <Steps compared={found} selected={step} onSelect={setStep} />
          </Part>
          <Part title="Inputs" none={found.inputs.length === 0 && 'The inputs are the same.'}>
            <ChangedValues changes={found.inputs} />
          </Part>
          <Part title="Variables at the end" none={found.variables.length === 0 && 'The variables are the same.'}>
            <ChangedValues changes={found.variables} />
          </Part>
          <Part
            title="Files at the end"
            none={Object.keys(found.changes).length === 0 && 'The workspaces hold the same files.'}
          >
            <Files before={before.id} after={after.id} changes={found.changes} />
          </Part>
        </div>
      )}
    </Loaded>
  );
}

/** The comparison as it is now: asked for again when one of the runs goes on. */
function useComparison(run: string, other: string): UseQueryResult<RunComparison, Error> {
  const queries = useQueryClient();
  const options = compareRunsOptions({ path: { run, other } });
  const key = JSON.stringify(options.queryKey);
  const listen = useCallback(
    (news: RunSummary) => {
      if (news.id === run || news.id === other) void queries.invalidateQueries({ queryKey: JSON.parse(key) });
    },
    [run, other, key, queries],
  );
  useRunNews(listen);
  return useQuery(options);
}

function Part({ title, none = false, children }: { title: string; none?: string | false; children: ReactNode }) {
  return (
    <section>
      <h2 className={classes.title}>{title}</h2>
      {none ? <p className="faint">{none}</p> : children}
    </section>
  );
}

function RunCard({ word, run }: { word: string; run: RunSummary }) {
  return (
    <article className={classes.card}>
      <span className="faint">{word}</span>
      <h2>
        <Link
          to="/projects/$project/runs/$number"
          params={{ project: run.project, number: String(run.number) }}
          className="plain-link"
        >
          {run.pipeline} #{run.number}
        </Link>{' '}
        <StateLabel look={lookOfRun(run.state)} />
      </h2>
      <p>
        <Branch name={run.branch} />
        <CommitId commit={run.commit} />
        <Trigger run={run} />
        <Duration from={run.created_at} to={run.finished_at} />
        <Ago at={run.created_at} />
      </p>
    </article>
  );
}
