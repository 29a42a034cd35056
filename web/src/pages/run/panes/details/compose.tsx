/** The compose file of an attempt, as the engine got it. */
import { useQuery } from '@tanstack/react-query';
import { api, asProblem } from '@/api';
import { ErrorPanel, Loading } from '@/ui/panels';
import { Copy } from '@/ui/small';
import classes from './details.module.css';

export function Compose({ run, step, attempt }: { run: string; step: string; attempt: number }) {
  const query = useQuery({
    queryKey: ['compose', run, step, attempt],
    queryFn: async () => (await api.readCompose({ path: { run, step }, query: { attempt } })).data,
  });
  if (query.isError) {
    if (asProblem(query.error).status === 404)
      return <p className="faint">No containers were started for this attempt.</p>;
    return <ErrorPanel error={query.error} retry={() => void query.refetch()} />;
  }
  if (!query.data) return <Loading rows={4} height={14} />;
  return (
    <div className={classes.compose}>
      <span className={classes.copy}>
        <Copy value={query.data.text} label="Copy the file" />
      </span>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a part that scrolls must be reached by keyboard */}
      <pre tabIndex={0}>{query.data.text}</pre>
    </div>
  );
}
