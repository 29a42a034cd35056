import { Badge } from '@mantine/core';
import { IconTicket } from '@tabler/icons-react';
import type { TokenView } from '@/api';
import { Confirm } from '@/ui/confirm';
import { Facts, Row, Rows } from '@/ui/rows';
import { StateLabel } from '@/ui/states';
import { Ago } from '@/ui/time';

/** Whether a token opens nothing any more. */
export const isOver = (token: TokenView) =>
  token.revoked_at !== null || (token.expires_at !== null && token.expires_at < Date.now() / 1000);

interface TokenRowsProps {
  tokens: TokenView[];
  revoke: (token: TokenView) => Promise<unknown>;
  onDone: () => unknown;
}

export function TokenRows({ tokens, revoke, onDone }: TokenRowsProps) {
  return (
    <Rows label="API tokens">
      {tokens.map((token) => (
        <Token key={token.id} token={token} revoke={() => revoke(token)} onDone={onDone} />
      ))}
    </Rows>
  );
}

function Token({ token, revoke, onDone }: { token: TokenView; revoke: () => Promise<unknown>; onDone: () => unknown }) {
  const over = isOver(token);
  return (
    <Row
      icon={<IconTicket size={17} stroke={1.6} />}
      dim={over}
      title={
        <>
          {token.name}
          {token.scopes.map((scope) => (
            <Badge key={scope} size="sm" color="gray">
              {scope}
            </Badge>
          ))}
          {over && <StateLabel look="skipped" word={token.revoked_at === null ? 'over' : 'revoked'} />}
        </>
      }
      sub={
        <Facts>
          <code>…{token.hint}</code>
          <span>{token.project ? `only ${token.project}` : 'all projects'}</span>
          <span>
            made <Ago at={token.created_at} />
          </span>
        </Facts>
      }
      meta={
        <Facts>
          <span>
            {token.used_at === null ? 'not used yet' : 'used '}
            {token.used_at !== null && <Ago at={token.used_at} />}
          </span>
          {!over && (
            <span>
              ends <Ago at={token.expires_at} />
            </span>
          )}
        </Facts>
      }
      actions={
        !over && (
          <Confirm
            label="Revoke"
            title={`Revoke ${token.name}`}
            variant="subtle"
            color="red"
            aria-label={`Revoke ${token.name}`}
            act={revoke}
            onDone={onDone}
          >
            What uses it gets no answer any more, at once and for good.
          </Confirm>
        )
      }
    />
  );
}
