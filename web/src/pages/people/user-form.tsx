import { PasswordInput, Switch, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { api, listProvidersOptions, type UserView } from '@/api';
import { Choice } from '@/ui/choice';
import { Beside, Fields, FormButtons, FormProblem } from '@/ui/form';
import { useApiForm } from '@/ui/forms';

type Values = {
  name: string;
  display_name: string;
  email: string;
  role: 'user' | 'admin';
  password: string;
  by_provider: boolean;
};

const BEGIN: Values = { name: '', display_name: '', email: '', role: 'user', password: '', by_provider: false };

interface UserFormProps {
  onDone: (user: UserView) => unknown;
  onCancel: () => void;
}

export function UserForm({ onDone, onCancel }: UserFormProps) {
  const providers = useQuery(listProvidersOptions()).data ?? [];
  const form = useApiForm({
    initialValues: BEGIN,
    send: ({ by_provider, password, ...body }) =>
      api.addUser({ body: { ...body, password: by_provider ? null : password } }),
    onDone: ({ data }) => onDone(data),
  });
  return (
    <form onSubmit={form.submit}>
      <Fields>
        <TextInput
          label="Name"
          description="What they log in with: small letters, digits, dot, dash and underscore."
          required
          autoComplete="off"
          data-autofocus
          {...form.field('name')}
        />
        {providers.length > 0 && (
          <Switch
            label={`They log in by ${providers.map((each) => each.title).join(' or ')}`}
            description="Without a password here. Whoever has the e-mail address there gets the account."
            {...form.field('by_provider', 'checkbox')}
          />
        )}
        {!form.form.values.by_provider && (
          <PasswordInput
            label="Password"
            description="12 characters or more. They can change it."
            required
            autoComplete="new-password"
            {...form.field('password')}
          />
        )}
        <Beside>
          <TextInput label="Name to show" autoComplete="off" {...form.field('display_name')} />
          <TextInput
            label="E-mail"
            type="email"
            required={form.form.values.by_provider}
            autoComplete="off"
            {...form.field('email')}
          />
        </Beside>
        <Choice
          label="On the server"
          data={[
            { value: 'user', label: 'User' },
            { value: 'admin', label: 'Admin of the server' },
          ]}
          {...form.field('role')}
        />
        <FormProblem problem={form.problem} />
        <FormButtons label="Add" sending={form.sending} onCancel={onCancel} />
      </Fields>
    </form>
  );
}
