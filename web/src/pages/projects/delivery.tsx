import { useQuery } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { type DeliveryView, getDeliveryOptions } from '@/api';
import { Page } from '@/ui/page';
import { Loaded } from '@/ui/panels';
import { Section } from '@/ui/section';
import { Copy } from '@/ui/small';
import { StateLabel } from '@/ui/states';
import { Ago, exactTime } from '@/ui/time';
import { Followed } from './deliveries';
import classes from './deliveries.module.css';
import { DeliveryActions } from './delivery-actions';
import { type DeliveredEvent, eventsOf, lookOf, wordOf } from './followed';
import { ForgeLink } from './forge-link';

/** One delivery with all that was sent. Forges link to it from the statuses of commits. */
export function Delivery() {
  const { project, delivery: id } = useParams({ from: '/shell/projects/$project/deliveries/$delivery' });
  const delivery = useQuery(getDeliveryOptions({ path: { project, delivery: id } }));
  return (
    <Page
      title="Delivery"
      crumbs={[
        { label: project, to: `/projects/${project}` },
        { label: 'Triggers', to: `/projects/${project}?tab=triggers` },
      ]}
      look={delivery.data && lookOf(delivery.data)}
      actions={delivery.data && <DeliveryActions project={project} delivery={delivery.data} />}
    >
      <Loaded query={delivery}>{(found) => <Details project={project} delivery={found} />}</Loaded>
    </Page>
  );
}

function Details({ project, delivery }: { project: string; delivery: DeliveryView }) {
  const gone = Object.keys(delivery.headers).length === 0;
  return (
    <>
      <Section title="What followed">
        <StateLabel look={lookOf(delivery)} word={wordOf(delivery)} />
        <div>
          <Followed project={project} delivery={delivery} most={200} />
        </div>
      </Section>
      {eventsOf(delivery.result).map((event, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: events of a delivery stay in their places
        <Event key={index} event={event} />
      ))}
      <Section title="What was sent" about={gone ? 'It was dropped: it is kept for a while only.' : undefined}>
        <dl className={classes.facts}>
          <Fact name="To">{delivery.hook}</Fact>
          <Fact name="When">
            {exactTime(delivery.received_at)}, <Ago at={delivery.received_at} />
          </Fact>
          <Fact name="Tries">{delivery.tries}</Fact>
        </dl>
      </Section>
      {!gone && (
        <>
          <Section title="Headers" about="Without those that are secret.">
            <dl className={`${classes.facts} ${classes.headers}`}>
              {Object.entries(delivery.headers).map(([name, value]) => (
                <Fact key={name} name={name}>
                  {value}
                </Fact>
              ))}
            </dl>
          </Section>
          <Section title="Body" actions={<Copy value={delivery.body} label="Copy the body" />}>
            <pre className={classes.body}>{delivery.body}</pre>
          </Section>
        </>
      )}
    </>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  if (children === undefined || children === '') return null;
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}

function Event({ event }: { event: DeliveredEvent }) {
  return (
    <Section title={event.title || event.event || 'Event'}>
      <dl className={classes.facts}>
        <Fact name="Branch">{event.branch}</Fact>
        <Fact name="Tag">{event.tag}</Fact>
        <Fact name="Commit">{event.commit && <code>{event.commit}</code>}</Fact>
        <Fact name="Pull request">{event.pull_request && `#${event.pull_request} to ${event.target ?? '?'}`}</Fact>
        <Fact name="By">{event.author ?? event.actor}</Fact>
        <Fact name="At the forge">{event.url && <ForgeLink url={event.url} />}</Fact>
      </dl>
    </Section>
  );
}
