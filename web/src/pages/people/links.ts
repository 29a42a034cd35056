/** Links to chat networks, and the code that makes one. */
import type { LinkView } from '@/api';

/** How many seconds a code is good for, whole ones. */
export const leftOf = (expiresAt: number, now: number) => Math.max(0, Math.ceil(expiresAt - now));

/** What is among the links now and was not before. Who links a sender again who was linked before has linked it, too. */
export function added(before: LinkView[], now: LinkView[]): LinkView[] {
  const known = new Set(before.map(keyOf));
  return now.filter((link) => !known.has(keyOf(link)));
}

const keyOf = ({ network, sender, created_at }: LinkView) => JSON.stringify([network, sender, created_at]);
