/** Parts of forms. */
import { Button, Group } from '@mantine/core';
import type { ReactNode } from 'react';
import type { Problem } from '@/api';
import classes from './form.module.css';

/** What is wrong with a form as a whole. */
export function FormProblem({ problem }: { problem: Problem | undefined }) {
  if (!problem) return null;
  return (
    <div role="alert" className={classes.problem}>
      <p className={classes.detail}>{problem.detail}</p>
      {problem.hint && <p>{problem.hint}</p>}
    </div>
  );
}

interface FormButtonsProps {
  label: string;
  sending: boolean;
  disabled?: boolean;
  onCancel?: () => void;
  children?: ReactNode;
}

export function FormButtons({ label, sending, disabled, onCancel, children }: FormButtonsProps) {
  return (
    <Group gap="xs" className={classes.buttons}>
      <Button type="submit" size="sm" loading={sending} disabled={disabled}>
        {label}
      </Button>
      {onCancel && (
        <Button size="sm" variant="subtle" color="gray" onClick={onCancel}>
          Cancel
        </Button>
      )}
      {children}
    </Group>
  );
}

/** Fields under each other, no wider than one likes to read. */
export function Fields({ children }: { children: ReactNode }) {
  return <div className={classes.fields}>{children}</div>;
}

/** Two or three short fields beside each other, where there is room. */
export function Beside({ children }: { children: ReactNode }) {
  return <div className={classes.beside}>{children}</div>;
}
