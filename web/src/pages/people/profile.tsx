import { PasswordInput, TextInput } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { api, getAccountOptions, getAccountQueryKey, listSessionsQueryKey, type UserView } from '@/api';
import { useMe } from '@/app/session';
import { Fields, FormButtons, FormProblem } from '@/ui/form';
import { type ApiForm, useApiForm } from '@/ui/forms';
import { Loaded } from '@/ui/panels';
import { Row, Rows } from '@/ui/rows';
import { Section } from '@/ui/section';
import { told } from '@/ui/told';

export function Profile() {
  const account = useQuery(getAccountOptions());
  return (
    <Loaded query={account}>
      {(user) => (
        <>
          <Section title="Profile">
            <ProfileForm user={user} />
          </Section>
          {user.has_password && (
            <Section title="Password" about="All other logins end with it. API tokens stay.">
              <PasswordForm />
            </Section>
          )}
          <Roles />
        </>
      )}
    </Loaded>
  );
}

type ProfileValues = { display_name: string; email: string };

function ProfileForm({ user }: { user: UserView }) {
  const queries = useQueryClient();
  const form: ApiForm<ProfileValues> = useApiForm({
    initialValues: { display_name: user.display_name, email: user.email } as ProfileValues,
    send: (body) => api.changeAccount({ body }),
    onDone: ({ data }) => {
      queries.setQueryData(getAccountQueryKey(), data);
      form.form.resetDirty();
      told('Saved');
    },
  });
  return (
    <form onSubmit={form.submit}>
      <Fields>
        <TextInput label="Name to show" autoComplete="name" placeholder={user.name} {...form.field('display_name')} />
        <TextInput
          label="E-mail"
          description="Where it is that of a commit, the four eyes rule counts the commit as yours."
          type="email"
          autoComplete="email"
          {...form.field('email')}
        />
        <FormProblem problem={form.problem} />
        <FormButtons label="Save" sending={form.sending} disabled={!form.form.isDirty()} />
      </Fields>
    </form>
  );
}

type PasswordValues = { old: string; new: string; again: string };

function PasswordForm() {
  const queries = useQueryClient();
  const form: ApiForm<PasswordValues> = useApiForm({
    initialValues: { old: '', new: '', again: '' } as PasswordValues,
    validate: { again: (again, values) => (again === values.new ? null : 'This is not the same') },
    send: (values) => api.changePassword({ body: { old: values.old, new: values.new } }),
    onDone: () => {
      form.form.reset();
      told('You have a new password; other logins have ended');
      void queries.invalidateQueries({ queryKey: listSessionsQueryKey() });
    },
  });
  return (
    <form onSubmit={form.submit}>
      <Fields>
        <PasswordInput label="Old password" required autoComplete="current-password" {...form.field('old')} />
        <PasswordInput
          label="New password"
          description="12 characters or more."
          required
          autoComplete="new-password"
          {...form.field('new')}
        />
        <PasswordInput label="New password again" required autoComplete="new-password" {...form.field('again')} />
        <FormProblem problem={form.problem} />
        <FormButtons label="Change it" sending={form.sending} />
      </Fields>
    </form>
  );
}

function Roles() {
  const me = useMe();
  const roles = Object.entries(me?.roles ?? {}).sort();
  if (!me || (roles.length === 0 && !me.admin)) return null;
  return (
    <Section
      title="Roles"
      about={me.admin ? 'As an admin of the server you have every role in every project.' : undefined}
      bare
    >
      {roles.length > 0 && (
        <Rows label="Roles">
          {roles.map(([project, role]) => (
            <Row key={project} title={project} meta={role} />
          ))}
        </Rows>
      )}
    </Section>
  );
}
