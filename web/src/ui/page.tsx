/** The frame of a page: its name, where it belongs, what can be done with it, and what the tab of the browser shows. */
import { Anchor, Group, Title } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { Fragment, type ReactNode, useEffect } from 'react';
import classes from './page.module.css';
import { colourOf, type Look } from './states';

export interface Crumb {
  label: string;
  to: string;
}

interface PageProps {
  /** Of the tab, and the heading unless `heading` says it in another form. */
  title: string;
  heading?: ReactNode;
  crumbs?: Crumb[];
  actions?: ReactNode;
  /** Shown by the icon of the tab. */
  look?: Look;
  /** Take all of the window; what is inside scrolls by itself. */
  fill?: boolean;
  children: ReactNode;
}

export function Page({ title, heading, crumbs = [], actions, look, fill = false, children }: PageProps) {
  useTab(title, look);
  return (
    <div className={classes.page} data-fill={fill || undefined}>
      <header className={classes.header}>
        <div className={classes.naming}>
          {crumbs.length > 0 && (
            <nav aria-label="Where this page is" className={classes.crumbs}>
              {crumbs.map((crumb) => (
                <Fragment key={crumb.to}>
                  <Anchor renderRoot={(props) => <Link to={crumb.to} {...props} />} inherit c="dimmed">
                    {crumb.label}
                  </Anchor>
                  <span aria-hidden>/</span>
                </Fragment>
              ))}
            </nav>
          )}
          <Title order={1} className={classes.title}>
            {heading ?? title}
          </Title>
        </div>
        {actions && (
          <Group gap="xs" className={classes.actions}>
            {actions}
          </Group>
        )}
      </header>
      <div className={classes.body}>{children}</div>
    </div>
  );
}

function useTab(title: string, look: Look | undefined) {
  useEffect(() => {
    document.title = `${title} · flow`;
  }, [title]);
  useEffect(() => {
    const link = document.getElementById('favicon') as HTMLLinkElement | null;
    if (!link || look === undefined) return;
    const before = link.href;
    link.href = icon(look);
    return () => {
      link.href = before;
    };
  }, [look]);
}

const SHAPES: Partial<Record<Look, string>> = {
  succeeded: '<path d="m9 16.5 5 5 9-10" fill="none" stroke="white" stroke-width="4"/>',
  failed: '<path d="m10 10 12 12m0-12L10 22" stroke="white" stroke-width="4"/>',
  errored: '<path d="M16 7v11m0 4v4" stroke="white" stroke-width="4"/>',
  running: '<circle cx="16" cy="16" r="6" fill="white"/>',
};

/** A picture as an address: the only kind of data: address that the policy of our pages allows. */
function icon(look: Look): string {
  const colour = getComputedStyle(document.documentElement).getPropertyValue(colourOf(look).slice(4, -1));
  const shape = SHAPES[look] ?? '<path d="M9 16h14" stroke="white" stroke-width="4"/>';
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="16" cy="16" r="15" fill="${colour}"/>${shape}</svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}
