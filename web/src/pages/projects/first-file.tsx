import { Copy } from '@/ui/small';
import classes from './first-file.module.css';

const FILE = `pipelines:
  hello:
    on: {push: {}}
    steps:
      greet:
        compose:
          services:
            greet: {image: alpine, command: echo hello}
`;

/** The smallest pipeline file there is, to begin with. */
export function FirstFile() {
  return (
    <>
      <p>
        Put this into <code>.flow.yml</code> at the top of the repository, push it, and fetch the project.
      </p>
      <div className={classes.file}>
        <pre>{FILE}</pre>
        <Copy value={FILE} label="Copy the file" />
      </div>
    </>
  );
}
