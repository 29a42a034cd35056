import { IconListCheck } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useEffect } from 'react';
import { explainWaitingOptions, listWorkOptions, type WorkView } from '@/api';
import { Page } from '@/ui/page';
import { Empty, Loaded } from '@/ui/panels';
import { Facts, Row, Rows } from '@/ui/rows';
import { Section } from '@/ui/section';
import { StateIcon } from '@/ui/states';
import { Duration } from '@/ui/time';
import classes from './queue.module.css';
import { StepLink } from './step-link';
import { isWaiting, workKey, workWords } from './work';

/** What waits for a runner, in the order in which it came, and what runs. Kept current by src/api/live.ts. */
export function Queue() {
  const work = useQuery(listWorkOptions());
  return (
    <Page title="Queue">
      <Loaded query={work}>{(all) => <Work all={all} asOf={work.dataUpdatedAt} />}</Loaded>
    </Page>
  );
}

function Work({ all, asOf }: { all: WorkView[]; asOf: number }) {
  const waiting = all.filter(isWaiting);
  const busy = all.filter((each) => !isWaiting(each));
  if (all.length === 0) {
    return (
      <Empty icon={<IconListCheck size={30} stroke={1.4} />} title="Nothing waits, and nothing runs">
        Steps show up here from the moment they may start until they have ended.
      </Empty>
    );
  }
  return (
    <>
      {waiting.length > 0 && (
        <Section title={`Waiting for a runner, ${waiting.length}`} about="The one that waits longest is first." bare>
          <Rows label="Waiting">
            {waiting.map((each, place) => (
              <Waiting key={workKey(each)} work={each} place={place + 1} asOf={asOf} />
            ))}
          </Rows>
        </Section>
      )}
      <Section title={`Running, ${busy.length}`} bare>
        {busy.length > 0 ? (
          <Rows label="Running">
            {busy.map((each) => (
              <Running key={workKey(each)} work={each} />
            ))}
          </Rows>
        ) : (
          <Empty title="Nothing runs">No runner has taken any of it yet.</Empty>
        )}
      </Section>
    </>
  );
}

const EXPLAINED = 20; // of those that wait: each reason is a question to the server

function Waiting({ work, place, asOf }: { work: WorkView; place: number; asOf: number }) {
  return (
    <Row
      icon={<span className="numbers">{place}</span>}
      title={<StepLink work={work} />}
      sub={<Place work={work} />}
      meta={
        <span>
          for <Duration from={work.queued_at} />
        </span>
      }
    >
      {place <= EXPLAINED && <Why work={work} asOf={asOf} />}
    </Row>
  );
}

/** Why it waits; asked again whenever something in the queue has changed. */
function Why({ work, asOf }: { work: WorkView; asOf: number }) {
  const { data, refetch } = useQuery(explainWaitingOptions({ path: { run: work.run, step: work.step } }));
  // biome-ignore lint/correctness/useExhaustiveDependencies: the time of the queue is when to ask again
  useEffect(() => void refetch(), [asOf, refetch]);
  return data?.message ? <p className={classes.why}>{data.message}</p> : null;
}

function Running({ work }: { work: WorkView }) {
  return (
    <Row
      icon={<StateIcon look={work.state === 'launched' ? 'running' : 'waiting'} />}
      title={<StepLink work={work} />}
      sub={<Place work={work} />}
      meta={
        <Facts>
          <span>
            {workWords(work)}
            {work.runner && ` on ${work.runner}`}
          </span>
          <Duration from={work.started_at ?? work.queued_at} />
        </Facts>
      }
    />
  );
}

function Place({ work }: { work: WorkView }) {
  return (
    <>
      {work.project} / {work.pipeline} #{work.number}
    </>
  );
}
