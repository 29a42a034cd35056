import { PasswordInput } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { api, listUserTokensOptions, listUserTokensQueryKey } from '@/api';
import { Fields, FormButtons, FormProblem } from '@/ui/form';
import { useApiForm } from '@/ui/forms';
import { Empty, Loaded } from '@/ui/panels';
import { told } from '@/ui/told';
import { isOver, TokenRows } from './token-rows';

export function PasswordForm({ name, onDone }: { name: string; onDone: () => void }) {
  const form = useApiForm({
    initialValues: { password: '' },
    send: (body) => api.setUserPassword({ path: { name }, body }),
    onDone: () => {
      told(`${name} has a new password`);
      onDone();
    },
  });
  return (
    <form onSubmit={form.submit}>
      <Fields>
        <PasswordInput
          label="Password"
          description="12 characters or more. They are logged out everywhere."
          required
          autoComplete="new-password"
          data-autofocus
          {...form.field('password')}
        />
        <FormProblem problem={form.problem} />
        <FormButtons label="Set it" sending={form.sending} onCancel={onDone} />
      </Fields>
    </form>
  );
}

export function UserTokens({ name }: { name: string }) {
  const queries = useQueryClient();
  const tokens = useQuery(listUserTokensOptions({ path: { name } }));
  return (
    <Loaded query={tokens} rows={2}>
      {(all) => {
        const open = all.filter((token) => !isOver(token));
        if (open.length === 0) return <Empty title={`${name} has no token that opens anything`} />;
        return (
          <TokenRows
            tokens={open}
            revoke={(token) => api.revokeUserToken({ path: { name, token: token.id } })}
            onDone={() => queries.invalidateQueries({ queryKey: listUserTokensQueryKey({ path: { name } }) })}
          />
        );
      }}
    </Loaded>
  );
}
