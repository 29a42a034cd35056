/** Who one is on chat networks: bots there act for their sender, with the sender's own rights. */
import { Button, Modal } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconMessage, IconPlus } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useCallback } from 'react';
import { api, type LinkView, listLinksOptions, listLinksQueryKey } from '@/api';
import { networkWord } from '@/pages/channels/kinds';
import { Confirm } from '@/ui/confirm';
import { Empty, Loaded } from '@/ui/panels';
import { useReturning } from '@/ui/returning';
import { Row, Rows } from '@/ui/rows';
import { Section } from '@/ui/section';
import { Ago } from '@/ui/time';
import { LinkCode } from './link-code';

export function Chat() {
  const links = useQuery({ ...listLinksOptions(), refetchOnMount: 'always' });
  const freshen = useFreshLinks();
  useReturning(freshen); // whoever said a code to a bot comes from there
  return (
    <Section
      title="Chat accounts"
      about="The bot of a linked network acts for you: what you write to it may do what you may, but change no settings, secrets or roles."
      actions={<Link />}
      bare
    >
      <Loaded query={links} rows={2}>
        {(all) =>
          all.length === 0 ? (
            <Empty icon={<IconMessage size={28} stroke={1.4} />} title="No chat account is linked">
              A bot shows somebody whom it does not know only what everybody may see.
            </Empty>
          ) : (
            <Rows label="Chat accounts">
              {all.map((link) => (
                <Linked key={`${link.network} ${link.sender}`} link={link} onDone={freshen} />
              ))}
            </Rows>
          )
        }
      </Loaded>
    </Section>
  );
}

export function useFreshLinks() {
  const queries = useQueryClient();
  return useCallback(() => queries.invalidateQueries({ queryKey: listLinksQueryKey() }), [queries]);
}

function Linked({ link: { network, sender, created_at }, onDone }: { link: LinkView; onDone: () => unknown }) {
  return (
    <Row
      icon={<IconMessage size={17} stroke={1.6} />}
      title={sender}
      sub={networkWord(network)}
      meta={
        <span>
          linked <Ago at={created_at} />
        </span>
      }
      actions={
        <Confirm
          label="Unlink"
          title={`Unlink ${sender}`}
          variant="subtle"
          color="red"
          aria-label={`Unlink ${sender}`}
          act={() => api.unlink({ path: { network, sender } })}
          onDone={onDone}
        >
          Bots on {networkWord(network)} do not act for you any more, at once, and cannot write to you.
        </Confirm>
      }
    />
  );
}

function Link() {
  const [opened, modal] = useDisclosure();
  return (
    <>
      <Button variant="default" leftSection={<IconPlus size={14} />} onClick={modal.open}>
        Link a chat account
      </Button>
      <Modal opened={opened} onClose={modal.close} title="Link a chat account">
        <LinkCode onDone={modal.close} />
      </Modal>
    </>
  );
}
