/** The variables that a step got. */
import { useQuery } from '@tanstack/react-query';
import { api } from '@/api';
import { ErrorPanel, Loading } from '@/ui/panels';
import classes from './details.module.css';

export function Variables({ run, commit }: { run: string; commit: string }) {
  const query = useQuery({
    queryKey: ['variables at', run, commit],
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: async () => (await api.listVariables({ path: { run }, query: { commit } })).data,
  });
  if (query.isError) return <ErrorPanel error={query.error} />;
  if (!query.data) return <Loading rows={2} height={14} />;
  const variables = Object.entries(query.data).sort(([a], [b]) => a.localeCompare(b));
  if (variables.length === 0) return <p className="faint">None are set.</p>;
  return (
    <table className={classes.table}>
      <tbody>
        {variables.map(([name, value]) => (
          <tr key={name}>
            <th scope="row">
              <code>{name}</code>
            </th>
            <td>
              <code className={classes.value}>{value}</code>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
