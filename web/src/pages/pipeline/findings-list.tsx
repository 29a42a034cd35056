/** What is wrong in the files; a click goes there. */
import { IconAlertTriangle, IconCircleCheck, IconCircleX } from '@tabler/icons-react';
import type { UseQueryResult } from '@tanstack/react-query';
import { asProblem, type LintFinding, type ProjectLintAnswer } from '@/api';
import classes from './file.module.css';
import { inOrder } from './findings';

interface FindingsListProps {
  lint: UseQueryResult<ProjectLintAnswer, Error>;
  path: string;
  onJump: (finding: LintFinding) => void;
}

export function FindingsList({ lint, path, onJump }: FindingsListProps) {
  const findings = inOrder(lint.data?.findings ?? [], path);
  return (
    <section className={classes.findings} aria-label="Findings">
      <p className={classes.verdict} role="status">
        <Verdict lint={lint} />
      </p>
      {findings.length > 0 && (
        <ul>
          {findings.map((finding) => (
            <li key={`${finding.file}:${finding.line}:${finding.column}:${finding.code}:${finding.message}`}>
              <button type="button" onClick={() => onJump(finding)} data-severity={finding.severity}>
                {finding.severity === 'error' ? (
                  <IconCircleX size={15} aria-label="error" />
                ) : (
                  <IconAlertTriangle size={15} aria-label="warning" />
                )}
                <code className={classes.place}>
                  {finding.file !== path && `${finding.file}:`}
                  {finding.line}:{finding.column}
                </code>
                <span className={classes.message}>
                  {finding.message}
                  {finding.hint && <span className="faint"> {finding.hint}</span>}
                </span>
                <code className="faint">{finding.code}</code>
              </button>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Verdict({ lint }: { lint: UseQueryResult<ProjectLintAnswer, Error> }) {
  if (lint.isError) return <>Could not be checked: {asProblem(lint.error).problem.detail}</>;
  if (!lint.data) return <span aria-busy="true">Checking</span>;
  const errors = lint.data.findings.filter((each) => each.severity === 'error').length;
  const warnings = lint.data.findings.length - errors;
  if (errors + warnings === 0) {
    return (
      <>
        <IconCircleCheck size={15} aria-hidden className={classes.well} /> Nothing is wrong
      </>
    );
  }
  return <>{[counted(errors, 'error'), counted(warnings, 'warning')].filter(Boolean).join(', ')}</>;
}

const counted = (count: number, word: string) => (count === 0 ? '' : `${count} ${word}${count === 1 ? '' : 's'}`);
