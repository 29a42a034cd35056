/** Who looks at the pages, and what they may do. The server decides again at each request; this is to not offer the rest. */
import { useQuery, useQueryClient } from '@tanstack/react-query';
import type { Action, Me } from '@/api';
import { meOptions } from '@/api';
import { askAgain } from '@/api/live';

export function useMe(): Me | undefined {
  return useQuery({ ...meOptions(), staleTime: 60_000 }).data;
}

/** Return a function that says whether an action is open in a project, or on the server when none is given. */
export function useMay(): (action: Action, project?: string) => boolean {
  const me = useMe();
  return (action, project) => {
    if (!me) return false;
    if (project === undefined) return me.may.includes(action);
    const role = me.admin ? 'maintainer' : me.roles[project];
    return (role ? me.rights[role] : me.rights.public)?.includes(action) ?? false;
  };
}

/** Return a function that forgets all that was seen: somebody else looks at the pages now, who may look at other things. */
export function useFreshStart(): () => void {
  const queries = useQueryClient();
  return () => {
    queries.clear();
    askAgain();
  };
}
