import { useQueryClient } from '@tanstack/react-query';
import { listMembersQueryKey } from '@/api';

export function useFreshMembers(project: string) {
  const queries = useQueryClient();
  return () => queries.invalidateQueries({ queryKey: listMembersQueryKey({ path: { project } }) });
}
