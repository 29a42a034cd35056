import { ActionIcon, Button, Menu, Modal } from '@mantine/core';
import { IconDots, IconMail, IconMessage, IconSend, IconWebhook } from '@tabler/icons-react';
import { useMutation } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import type { ChannelView } from '@/api';
import { Question } from '@/ui/confirm';
import { Facts, Row } from '@/ui/rows';
import { StateLabel } from '@/ui/states';
import { told } from '@/ui/told';
import { ChannelForm } from './channel-form';
import { isChat, KINDS } from './kinds';
import { type Owner, useChannelActs } from './owner';
import { ruleWords } from './words';

interface ChannelRowProps {
  project: Owner;
  channel: ChannelView;
  /** The one whose log is shown. */
  chosen?: string;
  onSecret: (channel: ChannelView) => void;
}

export function ChannelRow({ project, channel, chosen, onSecret }: ChannelRowProps) {
  const { may } = useChannelActs(project);
  const Icon = isChat(channel.kind) ? IconMessage : channel.kind === 'email' ? IconMail : IconWebhook;
  return (
    <Row
      icon={<Icon size={17} stroke={1.6} />}
      dim={channel.disabled}
      title={
        <>
          {channel.name}
          {channel.disabled && <StateLabel look="skipped" word="disabled" />}
        </>
      }
      sub={
        <>
          <Facts>
            <span>{KINDS[channel.kind].label}</span>
            <span>{channel.target || 'to you'}</span>
          </Facts>
          <div>{ruleWords(channel.rule, channel.kind)}</div>
        </>
      }
      actions={
        <>
          {may && <Test project={project} channel={channel} />}
          <LogLink name={channel.name} shown={chosen === channel.name} />
          {may && <More project={project} channel={channel} onSecret={onSecret} />}
        </>
      }
    />
  );
}

function LogLink({ name, shown }: { name: string; shown: boolean }) {
  return (
    <Button
      variant="subtle"
      color="gray"
      aria-label={shown ? `Hide log of ${name}` : `Log of ${name}`}
      aria-current={shown || undefined}
      renderRoot={(props) => (
        <Link
          to="."
          search={(before: object) => ({ ...before, channel: shown ? undefined : name }) as never}
          resetScroll={false}
          {...props}
        />
      )}
    >
      {shown ? 'Hide log' : 'Log'}
    </Button>
  );
}

/** Send something to see whether it arrives: the log, which is shown then, says what became of it. */
function Test({ project, channel: { name, disabled } }: Pick<ChannelRowProps, 'project' | 'channel'>) {
  const navigate = useNavigate();
  const { test, freshenLog } = useChannelActs(project);
  const testing = useMutation({
    mutationFn: () => test(name),
    onSuccess: async () => {
      await freshenLog(name);
      await navigate({
        to: '.',
        search: (before: object) => ({ ...before, channel: name }) as never,
        resetScroll: false,
      });
    },
  });
  return (
    <Button
      variant="default"
      leftSection={<IconSend size={14} aria-hidden />}
      aria-label={`Test ${name}`}
      disabled={disabled}
      title={disabled ? 'Enable it first' : 'Send a message now, whatever its rule says'}
      loading={testing.isPending}
      onClick={() => testing.mutate()}
    >
      Test
    </Button>
  );
}

type Shown = 'edit' | 'secret' | 'remove';

function More({ project, channel, onSecret }: Omit<ChannelRowProps, 'chosen'>) {
  const { change, remove, freshen } = useChannelActs(project);
  const [shown, setShown] = useState<Shown>();
  const close = () => setShown(undefined);
  const { name, disabled } = channel;
  const turn = useMutation({
    mutationFn: () => change(name, { disabled: !disabled }),
    onSuccess: () => told(disabled ? `${name} is told again` : `${name} is told nothing now`),
    onSettled: freshen,
  });
  return (
    <>
      <Menu position="bottom-end" width={190}>
        <Menu.Target>
          <ActionIcon variant="subtle" color="gray" aria-label={`What can be done with ${name}`}>
            <IconDots size={17} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item onClick={() => setShown('edit')}>Edit</Menu.Item>
          <Menu.Item onClick={() => turn.mutate()}>{disabled ? 'Enable' : 'Disable'}</Menu.Item>
          {channel.kind === 'webhook' && <Menu.Item onClick={() => setShown('secret')}>New secret</Menu.Item>}
          <Menu.Divider />
          <Menu.Item color="red" onClick={() => setShown('remove')}>
            Remove
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <Modal opened={shown === 'edit'} onClose={close} title={`Channel ${name}`} size={652}>
        <ChannelForm
          project={project}
          channel={channel}
          onCancel={close}
          onDone={() => {
            close();
            told('Saved');
            return freshen();
          }}
        />
      </Modal>
      <Modal opened={shown === 'secret'} onClose={close} title={`A new secret for ${name}`}>
        <Question
          label="New secret"
          act={async () => onSecret((await change(name, { renew_secret: true })).data)}
          close={close}
        >
          What is sent from then on is signed with it: a receiver that knows the old one refuses it.
        </Question>
      </Modal>
      <Modal opened={shown === 'remove'} onClose={close} title={`Remove the channel ${name}`}>
        <Question label="Remove" act={() => remove(name)} onDone={freshen} close={close}>
          Its log is removed, too, and what waits for it is not told any more.
        </Question>
      </Modal>
    </>
  );
}
