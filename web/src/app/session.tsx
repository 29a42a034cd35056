/** Who looks at the pages, and what they may do. The server decides again at each request; this is to not offer the rest. */
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';
import type { Action, Me } from '@/api';
import { asProblem, meOptions, meQueryKey } from '@/api';
import { askAgain } from '@/api/live';

const asked = () => ({ ...meOptions(), staleTime: 60_000 });

export function useMe(): Me | undefined {
  return useQuery(asked()).data;
}

/** Whether the browser still shows a login that the server knows no more: nothing is open to it, not even what is public. */
export function useLoginIsOver(): boolean {
  return asProblem(useQuery(asked()).error).status === 401;
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

/** Ask for all that is on the screen again when the person who looks may see more or less than before. */
export function useChangedRights() {
  const queries = useQueryClient();
  const me = useMe();
  const rights = me && JSON.stringify([me.admin, Object.entries(me.roles).sort()]);
  const before = useRef(rights);
  useEffect(() => {
    if (before.current !== undefined && rights !== before.current) {
      const [{ _id }] = meQueryKey();
      void queries.invalidateQueries({ predicate: ({ queryKey }) => (queryKey[0] as { _id?: string })?._id !== _id });
    }
    before.current = rights;
  }, [rights, queries]);
}
