/** A part of a page with a name, what it is about, and what can be done with it. */
import { Group } from '@mantine/core';
import { type ReactNode, useId } from 'react';
import classes from './section.module.css';

interface SectionProps {
  title: string;
  about?: ReactNode;
  actions?: ReactNode;
  danger?: boolean;
  /** The children bring their own frame. */
  bare?: boolean;
  children: ReactNode;
}

export function Section({ title, about, actions, danger, bare, children }: SectionProps) {
  const id = useId();
  return (
    <section className={classes.section} aria-labelledby={id} data-danger={danger || undefined}>
      <header className={classes.header}>
        <div className={classes.words}>
          <h2 id={id} className={classes.title}>
            {title}
          </h2>
          {about && <p className={classes.about}>{about}</p>}
        </div>
        {actions && <Group gap="xs">{actions}</Group>}
      </header>
      <div className={bare ? undefined : classes.frame}>{children}</div>
    </section>
  );
}
