/** The programs that speak to people on chat networks, for admins of the server. */
import { Button, Modal, Switch } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconMessageChatbot, IconPlus } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { aboutOptions, api, type BotView, listBotsOptions, listBotsQueryKey, type MadeBot } from '@/api';
import { useMay } from '@/app/session';
import { networkWord } from '@/pages/channels/kinds';
import { Confirm } from '@/ui/confirm';
import { Once } from '@/ui/once';
import { Page } from '@/ui/page';
import { Empty, Loaded } from '@/ui/panels';
import { Facts, Row, Rows } from '@/ui/rows';
import { Command } from '@/ui/small';
import { StateLabel } from '@/ui/states';
import { Ago } from '@/ui/time';
import { BotForm } from './bot-form';
import classes from './people.module.css';

export function Bots() {
  const may = useMay();
  if (may('bot.register')) return <AllBots />;
  return (
    <Page title="Bots">
      <Empty title="Admins of the server look after bots">Ask one of them.</Empty>
    </Page>
  );
}

function AllBots() {
  const bots = useQuery({ ...listBotsOptions(), refetchOnMount: 'always' }); // when they were seen last, no stream tells
  const [made, setMade] = useState<MadeBot>(); // its token is told this once
  const [all, setAll] = useState(false);
  const revoked = bots.data?.filter((bot) => bot.revoked_at !== null) ?? [];
  return (
    <Page
      title="Bots"
      actions={
        <>
          {revoked.length > 0 && (
            <Switch
              label={`${revoked.length} revoked, too`}
              checked={all}
              onChange={(event) => setAll(event.currentTarget.checked)}
            />
          )}
          <AddBot onMade={setMade} />
        </>
      }
    >
      {made && <Fresh made={made} onSeen={() => setMade(undefined)} />}
      <Loaded query={bots} rows={2}>
        {(found) => <Shown bots={found.filter((bot) => all || bot.revoked_at === null)} />}
      </Loaded>
    </Page>
  );
}

function useFreshBots() {
  const queries = useQueryClient();
  return () => queries.invalidateQueries({ queryKey: listBotsQueryKey() });
}

function AddBot({ onMade }: { onMade: (made: MadeBot) => void }) {
  const [opened, modal] = useDisclosure();
  const freshen = useFreshBots();
  return (
    <>
      <Button leftSection={<IconPlus size={15} />} onClick={modal.open}>
        Add a bot
      </Button>
      <Modal opened={opened} onClose={modal.close} title="Add a bot">
        <BotForm
          onCancel={modal.close}
          onDone={(made) => {
            modal.close();
            onMade(made);
            return freshen();
          }}
        />
      </Modal>
    </>
  );
}

/** A new bot: its token, and how it is started; apart, because commands are seen by others of the machine, and kept. */
function Fresh({ made: { token, about }, onSeen }: { made: MadeBot; onSeen: () => void }) {
  const server = useQuery(aboutOptions()).data?.public_url ?? window.location.origin;
  return (
    <div className={classes.once}>
      <Once title={`The token of ${about.name}`} value={token} onSeen={onSeen}>
        <p className={classes.say}>
          The server shows it this once. It acts for whoever links themselves: keep it as you would a password. Give it
          to the bot as <code>FLOW_BOT_TOKEN</code>, on a machine that reaches this server and{' '}
          {networkWord(about.network)}:
        </p>
        <Command>{`FLOW_SERVER=${server} FLOW_BOT_NETWORK=${about.network} flow bot`}</Command>
      </Once>
    </div>
  );
}

function Shown({ bots }: { bots: BotView[] }) {
  if (bots.length === 0) {
    return (
      <Empty icon={<IconMessageChatbot size={28} stroke={1.4} />} title="No bot">
        A bot starts pipelines for people who write to it, answers what they ask, and tells them what happened.
      </Empty>
    );
  }
  return (
    <Rows label="Bots">
      {bots.map((bot) => (
        <Bot key={bot.name} bot={bot} />
      ))}
    </Rows>
  );
}

function Bot({ bot: { name, network, called, created_by, created_at, seen_at, revoked_at } }: { bot: BotView }) {
  const freshen = useFreshBots();
  const over = revoked_at !== null;
  return (
    <Row
      icon={<IconMessageChatbot size={17} stroke={1.6} />}
      dim={over}
      title={
        <>
          {name}
          {over && <StateLabel look="skipped" word="revoked" />}
        </>
      }
      sub={
        <Facts>
          <span>{called ? `${called} on ${networkWord(network)}` : networkWord(network)}</span>
          <span>
            added by {created_by} <Ago at={created_at} />
          </span>
        </Facts>
      }
      meta={
        <span>
          {seen_at === null ? 'never heard of' : 'heard of '}
          {seen_at !== null && <Ago at={seen_at} />}
        </span>
      }
      actions={
        !over && (
          <Confirm
            label="Revoke"
            title={`Revoke ${name}`}
            variant="subtle"
            color="red"
            aria-label={`Revoke ${name}`}
            act={() => api.revokeBot({ path: { name } })}
            onDone={freshen}
          >
            Its token opens nothing any more, at once and for good. Who linked themselves stays linked, for the next bot
            on {networkWord(network)}.
          </Confirm>
        )
      }
    />
  );
}
