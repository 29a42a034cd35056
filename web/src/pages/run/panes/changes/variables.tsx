/** Variables before and after a step. */
import { useQuery } from '@tanstack/react-query';
import { api } from '@/api';
import classes from './changes.module.css';

export interface VariableChange {
  name: string;
  before: string | undefined;
  after: string | undefined;
}

/** Return the variables that differ, by name. */
export function changesOf(before: Record<string, string>, after: Record<string, string>): VariableChange[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return names
    .map((name) => ({ name, before: before[name], after: after[name] }))
    .filter((change) => change.before !== change.after);
}

export function VariableChanges({ run, step, result }: { run: string; step: string; result: string }) {
  const query = useQuery({
    queryKey: ['variables', run, step, result],
    queryFn: async () => {
      const of = async (before: boolean) => (await api.listVariables({ path: { run }, query: { step, before } })).data;
      const [before, after] = await Promise.all([of(true), of(false)]);
      return changesOf(before, after);
    },
  });
  if (!query.data || query.data.length === 0) return null; // who may not read variables sees files all the same
  return (
    <section aria-label="Changed variables">
      <header className={classes.head}>
        <h3>Variables</h3>
      </header>
      <table className={classes.variables}>
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Before</th>
            <th scope="col">After</th>
          </tr>
        </thead>
        <tbody>
          {query.data.map(({ name, before, after }) => (
            <tr key={name}>
              <th scope="row">
                <code>{name}</code>
              </th>
              <td>{before === undefined ? <span className="faint">not set</span> : <code data-gone>{before}</code>}</td>
              <td>{after === undefined ? <span className="faint">not set</span> : <code data-new>{after}</code>}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
