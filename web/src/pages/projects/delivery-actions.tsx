import { Button } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { api, type DeliverySummary } from '@/api';
import { useMay } from '@/app/session';
import { Confirm } from '@/ui/confirm';
import { told } from '@/ui/told';
import { useFreshDeliveries } from './deliveries';
import { commitOf, eventsOf } from './followed';
import { ForgeLink } from './forge-link';

/** Approve what comes from outside, and take again what failed. */
export function DeliveryActions({ project, delivery }: { project: string; delivery: DeliverySummary }) {
  const may = useMay();
  const freshen = useFreshDeliveries(project);
  const path = { project, delivery: delivery.id };
  const again = useMutation({
    mutationFn: () => api.takeDeliveryAgain({ path }),
    onSuccess: () => {
      told('It is looked at again');
      freshen();
    },
  });
  const commit = commitOf(delivery);
  const [event] = eventsOf(delivery.result);
  if (commit !== undefined && may('run.approve', project)) {
    return (
      <Confirm
        label="Approve"
        title="Let it run"
        variant="light"
        color="iris"
        harmless
        act={() => api.approveDelivery({ path, body: { commit } })}
        onDone={() => {
          told('Approved');
          freshen();
        }}
      >
        <p>
          This comes from outside. Look at the commit first: <code>{commit}</code>
        </p>
        {event?.url && (
          <p>
            <ForgeLink url={event.url} />
          </p>
        )}
        <p>It runs once, at this commit, without secrets. What is pushed afterwards waits anew.</p>
      </Confirm>
    );
  }
  if (!delivery.repeatable || !may('run.start', project)) return null;
  return (
    <Button variant="subtle" color="gray" loading={again.isPending} onClick={() => again.mutate()}>
      Deliver again
    </Button>
  );
}
