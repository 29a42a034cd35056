/** What a channel is told, on one line: "failed, recovered of release on main; quiet 22:00 to 07:00 Europe/Berlin". */
import type { ChannelKind, RuleView } from '@/api';
import { eventWord, inOrder } from './events';
import { isChat } from './kinds';

export function ruleWords(rule: RuleView, kind: ChannelKind): string {
  return [
    what(rule),
    quietWords(rule),
    digestWords(rule),
    isChat(kind) && rule.mention === false && 'calls nobody by name',
  ]
    .filter(Boolean)
    .join('; ');
}

function what({ on = [], pipelines = [], branches = [], mine }: RuleView): string {
  if (on.length === 0) return 'nothing';
  return [
    inOrder(on).map(eventWord).join(', '),
    mine && 'of my runs',
    pipelines.length > 0 && `of ${pipelines.join(', ')}`,
    branches.length > 0 && `on ${branches.join(', ')}`,
  ]
    .filter(Boolean)
    .join(' ');
}

function quietWords({ quiet }: RuleView): string {
  if (!quiet) return '';
  const { begin, end, timezone = 'UTC', urgent = [] } = quiet;
  const but = urgent.length > 0 ? ` but for ${inOrder(urgent).map(eventWord).join(', ')}` : '';
  return `quiet ${begin} to ${end} ${timezone}${but}`;
}

function digestWords({ digest, timezone = 'UTC' }: RuleView): string {
  if (!digest) return '';
  return digest === 'hourly' ? 'together every hour' : `together at ${digest} ${timezone}`;
}
