/** Channels of a project, and one's own: the same things at two addresses of the API. */
import { useInfiniteQuery, useQuery, useQueryClient } from '@tanstack/react-query';
import {
  api,
  type ChannelIn,
  type ChannelPatch,
  listChannelsQueryKey,
  listDispatchesInfiniteQueryKey,
  listOwnChannelsQueryKey,
  listOwnDispatchesInfiniteQueryKey,
} from '@/api';
import { useMay } from '@/app/session';
import { byCursor } from '@/ui/pages';

/** The project whose channels they are; none: they are one's own. */
export type Owner = string | undefined;

function actsOf(project: Owner) {
  if (project === undefined) {
    return {
      channels: () => api.listOwnChannels(),
      add: (body: ChannelIn) => api.addOwnChannel({ body }),
      change: (name: string, body: ChannelPatch) => api.changeOwnChannel({ path: { name }, body }),
      remove: (name: string) => api.removeOwnChannel({ path: { name } }),
      test: (name: string) => api.tryOwnChannel({ path: { name } }),
      log: (name: string, cursor: string) => api.listOwnDispatches({ path: { name }, query: { cursor } }),
      again: (name: string, dispatch: string) => api.sendOwnAgain({ path: { name, dispatch } }),
      keys: {
        channels: listOwnChannelsQueryKey(),
        log: (name: string) => listOwnDispatchesInfiniteQueryKey({ path: { name } }),
      },
    };
  }
  return {
    channels: () => api.listChannels({ path: { project } }),
    add: (body: ChannelIn) => api.addChannel({ path: { project }, body }),
    change: (name: string, body: ChannelPatch) => api.changeChannel({ path: { project, name }, body }),
    remove: (name: string) => api.removeChannel({ path: { project, name } }),
    test: (name: string) => api.tryChannel({ path: { project, name } }),
    log: (name: string, cursor: string) => api.listDispatches({ path: { project, name }, query: { cursor } }),
    again: (name: string, dispatch: string) => api.sendAgain({ path: { project, name, dispatch } }),
    keys: {
      channels: listChannelsQueryKey({ path: { project } }),
      log: (name: string) => listDispatchesInfiniteQueryKey({ path: { project, name } }),
    },
  };
}

/** What can be done with channels, and how to ask anew for what that changed. */
export function useChannelActs(project: Owner) {
  const queries = useQueryClient();
  const may = useMay();
  const acts = actsOf(project);
  return {
    ...acts,
    may: project === undefined || may('channel.change', project),
    freshen: () => queries.invalidateQueries({ queryKey: acts.keys.channels }),
    freshenLog: (name: string) => queries.invalidateQueries({ queryKey: acts.keys.log(name) }),
  };
}

export function useChannels(project: Owner) {
  const { channels, keys } = actsOf(project);
  return useQuery({ queryKey: keys.channels as readonly unknown[], queryFn: async () => (await channels()).data });
}

export function useLog(project: Owner, name: string) {
  const { log, keys } = actsOf(project);
  return useInfiniteQuery({
    queryKey: keys.log(name) as readonly unknown[],
    queryFn: async ({ pageParam }) => (await log(name, pageParam)).data,
    ...byCursor,
    refetchOnMount: 'always', // no stream tells of it
  });
}
