import { PasswordInput } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { api, listUserTokensOptions, listUserTokensQueryKey, type UserView } from '@/api';
import { Question } from '@/ui/confirm';
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

interface AdminQuestionProps {
  user: UserView;
  /** Whether it is who looks at the page. */
  self: boolean;
  onDone: () => unknown;
  close: () => void;
}

/** Whether a user is to become an admin, or to be none any more. */
export function AdminQuestion({ user, self, onDone, close }: AdminQuestionProps) {
  const admin = user.role === 'admin';
  return (
    <Question
      label={admin ? 'Make a plain user' : 'Make an admin'}
      harmless={!admin}
      act={() => api.changeUser({ path: { name: user.name }, body: { role: admin ? 'user' : 'admin' } })}
      onDone={onDone}
      close={close}
    >
      {admin
        ? 'They keep the roles that they have in projects, and nothing else.'
        : 'They have every role in every project, and look after users, runners and this server.'}
      {admin && self && ' You cannot take that back yourself.'}
    </Question>
  );
}
