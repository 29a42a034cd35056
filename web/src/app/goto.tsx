/** The button and the keys that open the command palette, which comes when it is needed. */
import { ActionIcon, Kbd } from '@mantine/core';
import { useDisclosure, useHotkeys } from '@mantine/hooks';
import { IconSearch } from '@tabler/icons-react';
import { lazy, Suspense } from 'react';
import classes from './shell.module.css';

const Palette = lazy(() => import('./palette'));

export function Goto({ compact = false }: { compact?: boolean }) {
  const [opened, palette] = useDisclosure();
  useHotkeys([['mod+K', palette.toggle]], []); // also while somebody types
  return (
    <>
      {compact ? (
        <ActionIcon
          variant="subtle"
          color="gray"
          size="lg"
          onClick={palette.open}
          aria-label="Go to"
          className={classes.gotoIcon}
        >
          <IconSearch size={19} />
        </ActionIcon>
      ) : (
        <button type="button" className={classes.goto} onClick={palette.open}>
          <IconSearch size={15} aria-hidden />
          <span>Go to</span>
          <Kbd size="xs">{/Mac|iPhone|iPad/.test(navigator.userAgent) ? '⌘' : 'Ctrl'} K</Kbd>
        </button>
      )}
      {opened && (
        <Suspense fallback={null}>
          <Palette onClose={palette.close} />
        </Suspense>
      )}
    </>
  );
}
