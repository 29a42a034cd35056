/** What was delivered to the webhooks of a project, and what followed. */
import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useCallback } from 'react';
import { type DeliverySummary, listDeliveriesInfiniteOptions, listDeliveriesQueryKey } from '@/api';
import { byCursor, Pages } from '@/ui/pages';
import { Empty } from '@/ui/panels';
import { Facts, Row, Rows } from '@/ui/rows';
import { Section } from '@/ui/section';
import { StateIcon } from '@/ui/states';
import { Ago } from '@/ui/time';
import classes from './deliveries.module.css';
import { DeliveryActions } from './delivery-actions';
import { eventsOf, linesOf, lookOf, wordOf } from './followed';

export function useFreshDeliveries(project: string) {
  const queries = useQueryClient();
  return useCallback(() => {
    const [{ _id }] = listDeliveriesQueryKey({ path: { project } });
    void queries.invalidateQueries({
      predicate: ({ queryKey }) => [_id, 'getDelivery'].includes((queryKey[0] as { _id?: string })?._id ?? ''),
    });
  }, [queries, project]);
}

/** Kept current by src/api/live.ts. */
export function Deliveries({ project }: { project: string }) {
  const deliveries = useInfiniteQuery({ ...listDeliveriesInfiniteOptions({ path: { project } }), ...byCursor });
  return (
    <Section
      title="Deliveries"
      about="What came, and what followed: which pipelines began, and why the others did not."
      bare
    >
      <Pages query={deliveries}>
        {(all) =>
          all.length === 0 ? (
            <Empty title="Nothing was delivered yet">What a forge sends shows up here, also what starts nothing.</Empty>
          ) : (
            <Rows label="Deliveries">
              {all.map((delivery) => (
                <Delivery key={delivery.id} project={project} delivery={delivery} />
              ))}
            </Rows>
          )
        }
      </Pages>
    </Section>
  );
}

function Delivery({ project, delivery }: { project: string; delivery: DeliverySummary }) {
  const event = eventsOf(delivery.result)[0];
  return (
    <Row
      icon={<StateIcon look={lookOf(delivery)} />}
      title={
        <Link to="/projects/$project/deliveries/$delivery" params={{ project, delivery: delivery.id }}>
          {delivery.event || 'delivery'} {event?.branch ?? event?.tag}
        </Link>
      }
      sub={<Followed project={project} delivery={delivery} />}
      meta={
        <Facts>
          <span>{wordOf(delivery)}</span>
          <span>{delivery.hook}</span>
          {delivery.tries > 1 && <span>{delivery.tries} tries</span>}
          <Ago at={delivery.received_at} />
        </Facts>
      }
      actions={<DeliveryActions project={project} delivery={delivery} />}
    />
  );
}

const MOST = 6; // lines of a delivery in a list

export function Followed({
  project,
  delivery,
  most = MOST,
}: {
  project: string;
  delivery: DeliverySummary;
  most?: number;
}) {
  const lines = linesOf(delivery.result);
  return (
    <>
      {delivery.approved_by && <div>approved by {delivery.approved_by}</div>}
      {lines.slice(0, most).map((line) => (
        <div key={`${line.pipeline} ${line.text}`} className={line.problem ? classes.problem : undefined}>
          {line.pipeline && `${line.pipeline}: `}
          {line.run ? (
            <Link to="/projects/$project/runs/$number" params={{ project, number: line.run }}>
              {line.text}
            </Link>
          ) : (
            line.text
          )}
        </div>
      ))}
      {lines.length > most && <div>and {lines.length - most} more</div>}
    </>
  );
}
