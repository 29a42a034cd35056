/** A channel as the form has it, and as the API takes it. */
import type { ChannelIn, ChannelKind, ChannelPatch, ChannelView, NewsKind, RuleView } from '@/api';
import { inOrder } from './events';
import { isChat } from './kinds';

export type DigestMode = 'at once' | 'hourly' | 'daily';

export type Values = {
  name: string;
  kind: ChannelKind;
  target: string;
  on: NewsKind[];
  pipelines: string[];
  branches: string[];
  mine: boolean;
  mention: boolean;
  quiet: boolean;
  begin: string;
  end: string;
  quietZone: string;
  urgent: NewsKind[];
  digest: DigestMode;
  digestAt: string;
  digestZone: string;
};

const WISE: NewsKind[] = ['failed', 'errored', 'recovered', 'approval']; // as the server has it where nothing is said

/** What the form begins with; of a webhook only the host is known, so its address begins empty. */
export function valuesOf(channel: ChannelView | undefined, kind: ChannelKind, zone: string): Values {
  const rule: RuleView = channel?.rule ?? {};
  const { quiet, digest = '' } = rule;
  return {
    name: channel?.name ?? '',
    kind: channel?.kind ?? kind,
    target: channel && channel.kind !== 'webhook' ? channel.target : '',
    on: rule.on ?? WISE,
    pipelines: rule.pipelines ?? [],
    branches: rule.branches ?? [],
    mine: rule.mine ?? false,
    mention: rule.mention ?? true,
    quiet: !!quiet,
    begin: quiet?.begin ?? '22:00',
    end: quiet?.end ?? '07:00',
    quietZone: quiet ? (quiet.timezone ?? 'UTC') : zone,
    urgent: quiet?.urgent ?? [],
    digest: digest === '' ? 'at once' : digest === 'hourly' ? 'hourly' : 'daily',
    digestAt: /:/.test(digest) ? digest : '08:30',
    digestZone: digest ? (rule.timezone ?? 'UTC') : zone,
  };
}

export function ruleOf(values: Values, own: boolean): RuleView {
  const { on, pipelines, branches, mine, mention, quiet, begin, end, quietZone, urgent, digest } = values;
  return {
    on: inOrder(on),
    pipelines,
    branches,
    mine: own && mine,
    mention,
    quiet: quiet ? { begin, end, timezone: quietZone, urgent: inOrder(urgent) } : null,
    digest: digest === 'at once' ? '' : digest === 'hourly' ? 'hourly' : values.digestAt,
    timezone: digest === 'at once' ? 'UTC' : values.digestZone,
  };
}

/** Whether where it leads is asked for: one's own e-mail and chat lead to oneself. */
export const asksTarget = (kind: ChannelKind, own: boolean) => !own || kind === 'webhook';

export function newChannel(values: Values, own: boolean): ChannelIn {
  const { name, kind, target } = values;
  return { name, kind, target: asksTarget(kind, own) ? target.trim() : '', rule: ruleOf(values, own) };
}

/** An empty address of a webhook says: as it is. */
export function patchOf(values: Values, own: boolean): ChannelPatch {
  const target = asksTarget(values.kind, own) ? values.target.trim() : '';
  const kept = !asksTarget(values.kind, own) || (values.kind === 'webhook' && target === '');
  return { target: kept ? null : target, rule: ruleOf(values, own) };
}

/** Whether the author of a commit can be called by name: only a chat of several people has others to be called. */
export const canMention = (kind: ChannelKind, own: boolean) => isChat(kind) && !own;
