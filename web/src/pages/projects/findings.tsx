/** What is wrong in pipeline files: the same words, places and hints as `flow validate` has. */
import { Link } from '@tanstack/react-router';
import type { PipelinesView } from '@/api';
import { StateIcon } from '@/ui/states';
import classes from './findings.module.css';

export function Findings({ found, project }: { found: PipelinesView; project: string }) {
  if (found.findings.length === 0) return null;
  return (
    <ul className={classes.findings} aria-label="Findings">
      {found.findings.map((each) => {
        const place = `${each.file}:${each.line}:${each.column}`;
        const pipeline = found.pipelines.find((one) => one.file === each.file);
        return (
          <li key={`${place} ${each.code} ${each.message}`} className={classes.finding}>
            <StateIcon look={each.severity === 'error' ? 'failed' : 'errored'} size={15} />
            <div>
              <div>
                {each.message} <code className="faint">{each.code}</code>
              </div>
              <div className="faint">
                {pipeline ? (
                  <Link
                    to="/projects/$project/pipelines/$pipeline/file"
                    params={{ project, pipeline: pipeline.name }}
                    className="mono"
                  >
                    {place}
                  </Link>
                ) : (
                  <span className="mono">{place}</span>
                )}
                {each.hint && <> · {each.hint}</>}
              </div>
            </div>
          </li>
        );
      })}
    </ul>
  );
}
