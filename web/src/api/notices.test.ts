import { describe, expect, it } from 'vitest';
import {
  getDeliveryQueryKey,
  getshownPipelineQueryKey,
  listAllPipelinesQueryKey,
  listDeliveriesInfiniteQueryKey,
  listHooksQueryKey,
  listPipelinesQueryKey,
  listRunnersQueryKey,
  listRunsQueryKey,
  listSchedulesQueryKey,
} from './generated/@tanstack/react-query.gen';
import { concerns, isNoticed } from './notices';

const of = (project: string) => ({ path: { project } });

describe('a notice concerns', () => {
  it('the list of runners', () => {
    const notice = { kind: 'runner', name: 'one' } as const;
    expect(concerns(notice, listRunnersQueryKey())).toBe(true);
    expect(concerns(notice, listSchedulesQueryKey(of('shop')))).toBe(false);
  });

  it('deliveries of its project, in lists and one by one', () => {
    const notice = { kind: 'deliveries', project: 'shop' } as const;
    const one = getDeliveryQueryKey({ path: { project: 'shop', delivery: 'd' } });
    for (const key of [listDeliveriesInfiniteQueryKey(of('shop')), one]) expect(concerns(notice, key)).toBe(true);
    expect(concerns(notice, listDeliveriesInfiniteQueryKey(of('other')))).toBe(false);
    expect(concerns(notice, listHooksQueryKey(of('shop')))).toBe(false);
  });

  it('schedules of its project', () => {
    const notice = { kind: 'schedules', project: 'shop' } as const;
    expect(concerns(notice, listSchedulesQueryKey(of('shop')))).toBe(true);
    expect(concerns(notice, listSchedulesQueryKey(of('other')))).toBe(false);
  });

  it('pipelines of its project, also in the list of all', () => {
    const notice = { kind: 'pipelines', project: 'shop' } as const;
    const one = (project: string) => getshownPipelineQueryKey({ path: { project, pipeline: 'ship' } });
    const found = [listPipelinesQueryKey(of('shop')), one('shop'), listAllPipelinesQueryKey({ query: { last: 1 } })];
    for (const key of found) expect(concerns(notice, key)).toBe(true);
    for (const key of [listPipelinesQueryKey(of('other')), one('other')]) expect(concerns(notice, key)).toBe(false);
  });
});

it('what is noticed is asked for again when more has happened than was told', () => {
  expect(isNoticed(listRunnersQueryKey())).toBe(true);
  expect(isNoticed(listSchedulesQueryKey(of('shop')))).toBe(true);
  expect(isNoticed(listRunsQueryKey())).toBe(false); // has a rule of its own
  expect(isNoticed([])).toBe(false);
});
