/** By which ways people are told, and where each leads. */
import type { ChannelKind } from '@/api';

interface KindWords {
  label: string;
  /** Of the field that says where it leads. */
  target: { label: string; hint: string; example: string };
  /** What one's own does instead. */
  own: string;
}

const room = (label: string, hint: string, example: string, network: string): KindWords => ({
  label,
  target: { label: 'Room', hint, example },
  own: `The bot writes to you in a direct message on ${network}.`,
});

export const KINDS: Record<ChannelKind, KindWords> = {
  email: {
    label: 'E-mail',
    target: {
      label: 'Addresses',
      hint: 'Up to 20, with commas between.',
      example: 'ann@example.org, bob@example.org',
    },
    own: '',
  },
  webhook: {
    label: 'Webhook',
    target: {
      label: 'Address',
      hint: 'It is sent a signed POST request with JSON. Only its host is shown later.',
      example: 'https://hooks.example.org/flow',
    },
    own: '',
  },
  matrix: room('Matrix', 'Its id or its alias; invite the bot first.', '#team:example.org', 'Matrix'),
  slack: room('Slack', 'The id of the channel; invite the bot first.', 'C024BE91L', 'Slack'),
  telegram: room('Telegram', 'The id of the chat; add the bot to it first.', '-1001234567890', 'Telegram'),
};

export const KIND_NAMES = Object.keys(KINDS) as ChannelKind[];

/** Whether it is a chat network, where a bot says it. */
export const isChat = (kind: ChannelKind) => kind !== 'email' && kind !== 'webhook';
export const networkWord = (network: string) => KINDS[network as ChannelKind]?.label ?? network;
