/** Roles in a project, each of which includes those before it. */
import type { Role } from '@/api';

/** `adds`: what one can do with it that one cannot with the one before. */
export const ROLES: readonly { value: Role; label: string; adds: string }[] = [
  { value: 'viewer', label: 'Viewer', adds: 'look at runs, logs and files' },
  { value: 'developer', label: 'Developer', adds: 'start, cancel and rerun' },
  { value: 'approver', label: 'Approver', adds: 'approve deployments and what comes from outside' },
  { value: 'maintainer', label: 'Maintainer', adds: 'change settings, secrets, webhooks and members' },
];

const rankOf = (role: Role) => ROLES.findIndex(({ value }) => value === role);

export const labelOf = (role: Role) => ROLES[rankOf(role)]?.label ?? role;

/** As what one makes somebody. */
export function nounOf(role: Role): string {
  const noun = labelOf(role).toLowerCase();
  return `${noun.startsWith('a') ? 'an' : 'a'} ${noun}`;
}

export function mayWords(role: Role): string {
  const rank = rankOf(role);
  return `can ${rank > 0 ? 'also ' : ''}${ROLES[rank]?.adds}`;
}

/** Whether a change is asked about first: it takes something away, or the person could change the roles of others then. */
export const asksFirst = (before: Role, after: Role) => rankOf(after) < rankOf(before) || after === 'maintainer';

/** What a change takes away or gives. */
export function changeWords(name: string, before: Role, after: Role): string {
  const [from, to] = [rankOf(before), rankOf(after)];
  const between = ROLES.slice(Math.min(from, to) + 1, Math.max(from, to) + 1).map(({ adds }) => adds);
  return to < from ? `${name} can no longer ${between.join(', or ')}.` : `${name} can also ${between.join(', and ')}.`;
}
