/** Where people are told what happened: the channels of a project, or one's own, and what a chosen one was told. */
import { Button, Modal } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconBell, IconPlus } from '@tabler/icons-react';
import { type ReactNode, useState } from 'react';
import type { ChannelView } from '@/api';
import { Once } from '@/ui/once';
import { Empty, Loaded } from '@/ui/panels';
import { Rows } from '@/ui/rows';
import { Section } from '@/ui/section';
import { ChannelForm } from './channel-form';
import { ChannelRow } from './channel-row';
import classes from './channels.module.css';
import { Log } from './log';
import { type Owner, useChannelActs, useChannels } from './owner';

interface ChannelsProps {
  project: Owner;
  about: ReactNode;
  /** The one whose log is shown. */
  chosen: string | undefined;
}

export function Channels({ project, about, chosen }: ChannelsProps) {
  const channels = useChannels(project);
  const { may } = useChannelActs(project);
  const [fresh, setFresh] = useState<ChannelView>(); // its secret is told this once
  const shown = channels.data?.find((each) => each.name === chosen);
  const onSecret = (channel: ChannelView) => setFresh(channel.secret ? channel : undefined);
  return (
    <>
      <Section title="Channels" about={about} actions={may && <Add project={project} onAdded={onSecret} />} bare>
        {fresh && <Fresh channel={fresh} onSeen={() => setFresh(undefined)} />}
        <Loaded query={channels} rows={2}>
          {(all) =>
            all.length === 0 ? (
              <None own={project === undefined} />
            ) : (
              <Rows label="Channels">
                {all.map((channel) => (
                  <ChannelRow
                    key={channel.name}
                    project={project}
                    channel={channel}
                    chosen={chosen}
                    onSecret={onSecret}
                  />
                ))}
              </Rows>
            )
          }
        </Loaded>
      </Section>
      {shown && <Log key={shown.name} project={project} channel={shown} />}
    </>
  );
}

function None({ own }: { own: boolean }) {
  return (
    <Empty icon={<IconBell size={28} stroke={1.4} />} title="Nobody is told anything here yet">
      {own
        ? 'A channel tells you of what happens in the projects in which you have a role.'
        : 'A channel leads to a room, to addresses of e-mail or to another program.'}
    </Empty>
  );
}

function Add({ project, onAdded }: { project: Owner; onAdded: (channel: ChannelView) => void }) {
  const [opened, modal] = useDisclosure();
  const { freshen } = useChannelActs(project);
  return (
    <>
      <Button variant="default" leftSection={<IconPlus size={14} />} onClick={modal.open}>
        Add a channel
      </Button>
      <Modal opened={opened} onClose={modal.close} title="Add a channel" size={652}>
        <ChannelForm
          project={project}
          onCancel={modal.close}
          onDone={(channel) => {
            modal.close();
            onAdded(channel);
            return freshen();
          }}
        />
      </Modal>
    </>
  );
}

function Fresh({ channel, onSeen }: { channel: ChannelView; onSeen: () => void }) {
  return (
    <div className={classes.fresh}>
      <Once title={`The secret of ${channel.name}`} value={channel.secret ?? ''} onSeen={onSeen}>
        The server shows it this once. What it sends to {channel.target} is signed with it, so that the receiver knows
        that it comes from here.
      </Once>
    </div>
  );
}
