/** A list of things, a row each: what it is, what is known of it, what can be done with it. On phones a row becomes a block. */
import type { ReactNode } from 'react';
import classes from './rows.module.css';

export function Rows({ label, children }: { label: string; children: ReactNode }) {
  return (
    <ul className={classes.rows} aria-label={label}>
      {children}
    </ul>
  );
}

interface RowProps {
  icon?: ReactNode;
  title: ReactNode;
  /** The second line, quiet. */
  sub?: ReactNode;
  /** At the right. */
  meta?: ReactNode;
  actions?: ReactNode;
  /** It is over, or put away. */
  dim?: boolean;
  /** Below all of it, over the whole width. */
  children?: ReactNode;
}

export function Row({ icon, title, sub, meta, actions, dim, children }: RowProps) {
  return (
    <li className={classes.row} data-dim={dim || undefined}>
      {icon && <span className={classes.icon}>{icon}</span>}
      <div className={classes.words}>
        <div className={classes.title}>{title}</div>
        {sub && <div className={classes.sub}>{sub}</div>}
      </div>
      {meta && <div className={classes.meta}>{meta}</div>}
      {actions && <div className={classes.actions}>{actions}</div>}
      {children && <div className={classes.below}>{children}</div>}
    </li>
  );
}

/** Facts one after another, with room between. */
export function Facts({ children }: { children: ReactNode }) {
  return <span className={classes.facts}>{children}</span>;
}
