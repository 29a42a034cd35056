/** Variables before and after a step. */
import { useQuery } from '@tanstack/react-query';
import { api } from '@/api';
import { ChangedValues, type ValueChange } from '@/ui/changed/values';
import classes from './changes.module.css';

/** Return the variables that differ, by name. */
export function changesOf(before: Record<string, string>, after: Record<string, string>): ValueChange[] {
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
      <ChangedValues changes={query.data} />
    </section>
  );
}
