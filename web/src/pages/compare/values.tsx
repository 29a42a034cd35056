/** Inputs or variables that differ. */
import classes from './values.module.css';

interface Change {
  name: string;
  before: unknown;
  after: unknown;
}

export function Changes({ changes }: { changes: Change[] }) {
  return (
    <div className={classes.scroll}>
      <table className={classes.changes}>
        <tbody>
          {changes.map(({ name, before, after }) => (
            <tr key={name}>
              <th scope="row">{name}</th>
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
  if (value === null || value === undefined) return <span className="faint">not there</span>;
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
