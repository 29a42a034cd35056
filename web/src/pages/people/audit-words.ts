/** The audit log in words. What is not known here is shown as the server calls it. */
import type { AuditEntry } from '@/api';

const WORDS: Record<string, string> = {
  'bot.add': 'added the bot',
  'bot.revoke': 'revoked the bot',
  'channel.add': 'added the channel',
  'channel.again': 'sent something again to the channel',
  'channel.change': 'changed the channel',
  'channel.remove': 'removed the channel',
  'channel.test': 'tried the channel',
  'delivery.again': 'let a delivery be looked at again:',
  'delivery.approve': 'approved the delivery',
  'hook.add': 'added the webhook',
  'hook.change': 'changed the webhook',
  'hook.remove': 'removed the webhook',
  'identity.code': 'made a code to link a chat account to',
  'identity.link': 'linked an account elsewhere to',
  'identity.refuse': 'said a code that is not good to',
  'identity.unlink': 'unlinked an account elsewhere from',
  'key.change': 'changed the key of the vault:',
  'key.prune': 'dropped old keys of the vault:',
  'login.accept': 'logged in',
  'login.refuse': 'was refused to log in as',
  'member.put': 'gave a role to',
  'member.remove': 'took the role from',
  'pipeline.hold': 'held the pipeline',
  'pipeline.unhold': 'let go the pipeline',
  'project.add': 'added the project',
  'project.archive': 'archived the project',
  'project.change': 'changed the project',
  'project.delete': 'deleted the project',
  'project.unarchive': 'took out of the archive the project',
  'run.approve': 'approved a step of the run',
  'run.cancel': 'cancelled the run',
  'run.delete': 'deleted the run',
  'run.reject': 'rejected a step of the run',
  'run.rerun': 'started again the run',
  'run.start': 'started the run',
  'runner.activate': 'gave work again to the runner',
  'runner.drain': 'drained the runner',
  'runner.invite': 'made a code for a runner',
  'runner.register': 'registered the runner',
  'runner.revoke': 'revoked the runner',
  'schedule.pause': 'paused the schedule',
  'schedule.resume': 'resumed the schedule',
  'secret.put': 'set the secret',
  'secret.remove': 'removed the secret',
  'session.end': 'ended a login of',
  'token.create': 'made the token',
  'token.revoke': 'revoked the token',
  'user.add': 'added the user',
  'user.change': 'changed the user',
  'user.set_password': 'set a password for',
};

export const ACTIONS = Object.keys(WORDS);

export const actionWords = (action: string): string => WORDS[action] ?? action;

/** The object without its kind, where the words tell the kind already; of tokens the name that people gave them. */
export function objectWords({
  action,
  object,
  actor,
  detail,
}: Pick<AuditEntry, 'action' | 'object' | 'actor' | 'detail'>) {
  if (!(action in WORDS)) return object;
  const name = object.replace(/^[a-z_]+:/, '');
  if (action === 'login.accept' && name === actor) return '';
  return action.startsWith('token.') && typeof detail.name === 'string' ? detail.name : name;
}

/** The run that an entry is about, by its id. */
export function runOf(entry: Pick<AuditEntry, 'object'>): string | undefined {
  return /^run:([0-9A-Z]+)$/.exec(entry.object)?.[1];
}

/** Details as names with values, each as a short text. */
export function detailWords(detail: AuditEntry['detail']): [name: string, value: string][] {
  return Object.entries(detail).map(([name, value]) => [name, detailText(value)]);
}

function detailText(value: unknown): string {
  if (typeof value === 'string') return value;
  return Array.isArray(value) && value.every((each) => typeof each === 'string')
    ? value.join(', ')
    : JSON.stringify(value);
}
