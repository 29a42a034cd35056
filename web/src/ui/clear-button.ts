import type { MouseEvent } from 'react';

/** Properties of the button that empties a select: the library leaves it out of the reach of keys and screen readers. */
export const clearButton = (label: string) => ({
  'aria-label': label,
  'aria-hidden': false,
  tabIndex: 0,
  onClick: byKeys,
});

/** The button goes away with what it emptied; who pressed it by a key is to stay where they were. */
function byKeys({ detail, currentTarget }: MouseEvent<HTMLButtonElement>) {
  if (detail === 0) currentTarget.closest('.mantine-Input-wrapper')?.querySelector('input')?.focus();
}
