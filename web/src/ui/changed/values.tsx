/** Inputs or variables that differ. */
import table from '@/ui/table.module.css';
import classes from './values.module.css';

export interface ValueChange {
  name: string;
  before: unknown;
  after: unknown;
}

export function ChangedValues({ changes }: { changes: ValueChange[] }) {
  return (
    <div className={table.frame}>
      <table className={classes.values}>
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Before</th>
            <th scope="col">After</th>
          </tr>
        </thead>
        <tbody>
          {changes.map(({ name, before, after }) => (
            <tr key={name}>
              <th scope="row">
                <code>{name}</code>
              </th>
              <td>
                <Value value={before} removed />
              </td>
              <td>
                <Value value={after} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Value({ value, removed = false }: { value: unknown; removed?: boolean }) {
  if (value === null || value === undefined) return <span className="faint">not set</span>;
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return removed ? (
    <del>
      <code>{text}</code>
    </del>
  ) : (
    <ins>
      <code>{text}</code>
    </ins>
  );
}
