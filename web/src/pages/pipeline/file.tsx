/** The file of a pipeline: its text with what is wrong in it, and its graph, both as one types. Nothing is committed here. */
import { Button, Skeleton } from '@mantine/core';
import { IconPlayerPlay, IconRestore } from '@tabler/icons-react';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { lazy, Suspense, useMemo, useState } from 'react';
import type { LintFinding } from '@/api';
import { useMay } from '@/app/session';
import { Page } from '@/ui/page';
import { ErrorPanel } from '@/ui/panels';
import { Copy } from '@/ui/small';
import classes from './file.module.css';
import { FileGraph } from './file-graph';
import { FindingsList } from './findings-list';
import { RefPicker } from './ref-picker';
import { useFiles } from './use-files';

const FROM = '/shell/projects/$project/pipelines/$pipeline/file';
const CodeEditor = lazy(() => import('./code-editor'));

export function PipelineFile() {
  const { project, pipeline } = useParams({ from: FROM });
  const { ref = '', path: wanted, line } = useSearch({ from: FROM });
  const navigate = useNavigate();
  const files = useFiles(project, pipeline, ref, wanted);
  const [target, setTarget] = useState(line ? { line: Number(line) || 1, column: 1 } : undefined);
  const all = files.lint.data?.findings;
  const findings = useMemo(() => all?.filter((each) => each.file === files.path) ?? [], [all, files.path]);
  const jump = (finding: LintFinding) => {
    setTarget({ line: finding.line, column: finding.column });
    if (finding.file !== files.path) {
      void navigate({ to: '.', search: { ...(ref && { ref }), path: finding.file, line: String(finding.line) } });
    }
  };
  const error = files.view.error ?? files.error;
  return (
    <Page
      fill
      title={files.path || pipeline}
      crumbs={[
        { label: project, to: `/projects/${project}` },
        ...(pipeline === '-' ? [] : [{ label: pipeline, to: `/projects/${project}/pipelines/${pipeline}` }]),
      ]}
      heading={<Heading files={files} />}
      actions={<Actions project={project} pipeline={pipeline} gitRef={ref} files={files} />}
    >
      {error ? (
        <div className={classes.error}>
          <ErrorPanel error={error} />
        </div>
      ) : (
        <div className={classes.halves}>
          <div className={classes.text}>
            <div className={classes.code}>
              {files.text !== undefined && (
                <Suspense fallback={<Skeleton height="100%" radius={0} />}>
                  <CodeEditor
                    path={files.path}
                    text={files.text}
                    onChange={files.edit}
                    findings={findings}
                    target={target}
                  />
                </Suspense>
              )}
            </div>
            <FindingsList lint={files.lint} path={files.path} onJump={jump} />
          </div>
          <FileGraph pipeline={pipeline} path={files.path} lint={files.lint.data} />
        </div>
      )}
    </Page>
  );
}

type Files = ReturnType<typeof useFiles>;

function Heading({ files }: { files: Files }) {
  return (
    <>
      <span className="mono">{files.path}</span>
      {files.edited && <span className={classes.edited}>edited here, not saved in the repository</span>}
      {files.missing && !files.edited && <span className={classes.edited}>not in the repository</span>}
    </>
  );
}

interface ActionsProps {
  project: string;
  pipeline: string;
  gitRef: string;
  files: Files;
}

function Actions({ project, pipeline, gitRef, files }: ActionsProps) {
  const may = useMay();
  const navigate = useNavigate();
  const known = files.view.data?.pipelines.some((each) => each.name === pipeline) ?? false;
  return (
    <>
      {files.edited && (
        <Button variant="default" leftSection={<IconRestore size={15} aria-hidden />} onClick={files.reset}>
          Reset
        </Button>
      )}
      {files.text !== undefined && <Copy value={files.text} label="Copy the text" />}
      <div className={classes.ref}>
        <RefPicker
          project={project}
          value={gitRef}
          onChange={(ref) => void navigate({ to: '.', search: ref ? { ref } : {} })}
        />
      </div>
      {known && may('run.start', project) && (
        <Button
          leftSection={<IconPlayerPlay size={15} aria-hidden />}
          renderRoot={(props) => (
            <Link
              to="/projects/$project/pipelines/$pipeline/start"
              params={{ project, pipeline }}
              search={gitRef ? { ref: gitRef } : {}}
              {...props}
            />
          )}
        >
          Run
        </Button>
      )}
    </>
  );
}
