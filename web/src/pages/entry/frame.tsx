import { Paper, Title } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';
import { type ReactNode, useEffect } from 'react';
import { Mark } from '@/app/mark';
import classes from './frame.module.css';

/** What is around the pages for those whom the server does not know yet. */
export function EntryFrame({ title, children }: { title: string; children: ReactNode }) {
  useEffect(() => {
    document.title = `${title} · flow`;
  }, [title]);
  return (
    <main className={classes.frame}>
      <div className={classes.column}>
        <div className={classes.brand}>
          <Mark size={30} /> flow
        </div>
        <Paper p="lg" shadow="sm">
          <Title order={1} mb="md">
            {title}
          </Title>
          {children}
        </Paper>
      </div>
    </main>
  );
}

/** Go to another page as soon as something is so. Once: the place changes while that page is still coming. */
export function useLeaving(to: '/login' | '/setup', when: boolean) {
  const navigate = useNavigate();
  useEffect(() => {
    if (when) void navigate({ to, replace: true });
  }, [navigate, to, when]);
}
