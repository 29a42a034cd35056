import { Button, Modal, Switch } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconPlus, IconTicket } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, listTokensOptions, listTokensQueryKey, type MadeToken, type TokenView } from '@/api';
import { Once } from '@/ui/once';
import { Empty, Loaded } from '@/ui/panels';
import { Section } from '@/ui/section';
import classes from './people.module.css';
import { TokenForm } from './token-form';
import { isOver, TokenRows } from './token-rows';

export function Tokens() {
  const queries = useQueryClient();
  const tokens = useQuery(listTokensOptions());
  const [made, setMade] = useState<MadeToken>(); // told this once
  const [all, setAll] = useState(false);
  const [opened, modal] = useDisclosure();
  const freshen = () => queries.invalidateQueries({ queryKey: listTokensQueryKey() });
  const over = tokens.data?.filter(isOver) ?? [];
  return (
    <Section
      title="API tokens"
      about="For programs, the command line and git. A token acts as you, within its scopes, and never opens more than you may."
      actions={
        <>
          {over.length > 0 && (
            <Switch
              label={`${over.length} that are over, too`}
              checked={all}
              onChange={(event) => setAll(event.currentTarget.checked)}
            />
          )}
          <Button variant="default" leftSection={<IconPlus size={14} />} onClick={modal.open}>
            New token
          </Button>
        </>
      }
      bare
    >
      {made && (
        <div className={classes.once}>
          <Once title={`The token ${made.about.name}`} value={made.token} onSeen={() => setMade(undefined)} />
        </div>
      )}
      <Loaded query={tokens} rows={2}>
        {(found) => <Shown tokens={found.filter((token) => all || !isOver(token))} onDone={freshen} />}
      </Loaded>
      <Modal opened={opened} onClose={modal.close} title="New token" size="lg">
        <TokenForm
          onCancel={modal.close}
          onDone={(token) => {
            modal.close();
            setMade(token);
            return freshen();
          }}
        />
      </Modal>
    </Section>
  );
}

function Shown({ tokens, onDone }: { tokens: TokenView[]; onDone: () => unknown }) {
  if (tokens.length === 0) {
    return (
      <Empty icon={<IconTicket size={28} stroke={1.4} />} title="No tokens">
        <code>flow login</code> makes one as well.
      </Empty>
    );
  }
  return (
    <TokenRows tokens={tokens} revoke={(token) => api.revokeToken({ path: { token: token.id } })} onDone={onDone} />
  );
}
