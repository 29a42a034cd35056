/** Parts of a page, one at a time; which one is in the address. */
import { Link } from '@tanstack/react-router';
import { useEffect, useRef } from 'react';
import classes from './tabs.module.css';

export interface Tab {
  value: string;
  label: string;
  count?: number;
}

export function TabLinks({ tabs, value, label }: { tabs: readonly Tab[]; value: string; label: string }) {
  const nav = useRef<HTMLElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: on phones the chosen one may be out of sight
  useEffect(() => {
    nav.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }, [value]);
  return (
    <nav ref={nav} className={classes.tabs} aria-label={label}>
      {tabs.map((tab) => (
        <Link
          key={tab.value}
          to="."
          search={{ tab: tab.value } as never}
          className={classes.tab}
          data-chosen={tab.value === value || undefined}
          aria-current={tab.value === value ? 'page' : undefined}
        >
          {tab.label}
          {!!tab.count && <span className={classes.count}>{tab.count}</span>}
        </Link>
      ))}
    </nav>
  );
}
