/** What the server tells once and never again. */
import { Button } from '@mantine/core';
import { IconKey } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import classes from './once.module.css';
import { Copy } from './small';

interface OnceProps {
  title: string;
  value: string;
  children?: ReactNode;
  onSeen?: () => void;
}

export function Once({ title, value, children, onSeen }: OnceProps) {
  return (
    <div role="status" className={classes.once}>
      <p className={classes.title}>
        <IconKey size={16} aria-hidden /> {title}
      </p>
      <div className={classes.value}>
        <code>{value}</code>
        <Copy value={value} label="Copy" />
      </div>
      <div>{children ?? 'It is shown this once. Keep it where secrets are kept.'}</div>
      {onSeen && (
        <Button variant="default" className={classes.seen} onClick={onSeen}>
          I have it
        </Button>
      )}
    </div>
  );
}
