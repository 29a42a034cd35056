/** What the pipelines of a project act on: what is deployed there, who has it now, and who waits for it. */
import { IconServer2 } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { type DeploymentView, type LineView, listEnvironmentsOptions, listPipelinesOptions } from '@/api';
import { Empty, Loaded } from '@/ui/panels';
import { Facts, Row, Rows } from '@/ui/rows';
import { Section } from '@/ui/section';
import { Branch, CommitId } from '@/ui/small';
import { StateLabel } from '@/ui/states';
import { Ago } from '@/ui/time';
import { allEnvironments, type Environment, environmentsOf } from './environments';
import classes from './environments.module.css';

export function Environments({ project }: { project: string }) {
  const states = useQuery(listEnvironmentsOptions({ path: { project } }));
  const pipelines = useQuery(listPipelinesOptions({ path: { project } })).data?.pipelines ?? [];
  return (
    <Section
      title="Environments"
      about="What steps act on: one at a time, and by approval where the file asks for it."
      bare
    >
      <Loaded query={states} rows={2}>
        {(found) => {
          const all = allEnvironments(environmentsOf(pipelines), found);
          return all.length === 0 ? (
            <Empty icon={<IconServer2 size={28} stroke={1.4} />} title="No environments">
              A step that deploys names what it acts on:{' '}
              <code>{'environment: {name: prod, approve: [maintainers]}'}</code>
            </Empty>
          ) : (
            <Rows label="Environments">
              {all.map((each) => (
                <EnvironmentRow key={each.name} project={project} environment={each} />
              ))}
            </Rows>
          );
        }}
      </Loaded>
    </Section>
  );
}

function EnvironmentRow({ project, environment }: { project: string; environment: Environment }) {
  const { name, use, state } = environment;
  const missed = state?.latest && !state.holder && state.latest.outcome !== 'succeeded' ? state.latest : null;
  return (
    <Row
      icon={<IconServer2 size={17} stroke={1.6} />}
      title={
        <>
          <span className="mono">{name}</span>
          {state?.holder && <StateLabel look="running" word="in use" />}
          {missed?.outcome && <StateLabel look={missed.outcome} word={`last ${missed.outcome}`} />}
        </>
      }
      sub={
        <Facts>
          <span>{use ? use.steps.join(', ') : 'no step names it as it is now'}</span>
          {use && use.approve.length > 0 && <span>approved by {use.approve.join(', ')}</span>}
        </Facts>
      }
      meta={state?.deployed ? <Deployed project={project} deployment={state.deployed} /> : 'nothing deployed yet'}
    >
      {(state?.holder || missed) && (
        <dl className={classes.line}>
          {state?.holder && (
            <>
              <dt>Now</dt>
              <dd>
                <StepLink project={project} at={state.holder} />
              </dd>
            </>
          )}
          {state && state.waiting.length > 0 && (
            <>
              <dt>Next</dt>
              <dd>
                {state.waiting.map((each) => (
                  <StepLink key={each.run} project={project} at={each} />
                ))}
              </dd>
            </>
          )}
          {missed && (
            <>
              <dt>Last</dt>
              <dd>
                <StepLink project={project} at={missed} /> <Ago at={missed.at} />
              </dd>
            </>
          )}
        </dl>
      )}
    </Row>
  );
}

function Deployed({ project, deployment }: { project: string; deployment: DeploymentView }) {
  return (
    <Facts>
      <StepLink project={project} at={deployment} />
      {deployment.branch && <Branch name={deployment.branch} />}
      <CommitId commit={deployment.commit} />
      <span>
        deployed{deployment.actor && ` by ${deployment.actor}`} <Ago at={deployment.at} />
      </span>
    </Facts>
  );
}

function StepLink({ project, at }: { project: string; at: LineView }) {
  return (
    <Link
      to="/projects/$project/runs/$number"
      params={{ project, number: String(at.number) }}
      search={{ step: at.step }}
      className="plain-link"
    >
      {at.pipeline} #{at.number} / {at.step}
    </Link>
  );
}
