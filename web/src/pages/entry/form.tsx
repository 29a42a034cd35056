/** What logging in and setting up have in common. */
import { Button, PasswordInput, Stack, TextInput } from '@mantine/core';
import type { ReactNode } from 'react';
import { FormProblem } from '@/ui/form';
import type { ApiForm } from '@/ui/forms';

interface Credentials {
  name: string;
  password: string;
}

interface EntryFormProps<Values extends Credentials> {
  form: ApiForm<Values>;
  /** Of the button. */
  label: string;
  /** Whether the password is one that is known, or one that begins to be. */
  password: 'current-password' | 'new-password';
  /** Begin with the name. */
  focus: boolean;
  /** Above the name. */
  children?: ReactNode;
  /** Other ways in, below the button. */
  others?: ReactNode;
}

export function EntryForm<Values extends Credentials>(props: EntryFormProps<Values>) {
  const { form, label, password, focus, children, others } = props;
  return (
    <form onSubmit={form.submit}>
      <Stack gap="sm">
        {children}
        <TextInput label="Name" autoComplete="username" required autoFocus={focus} {...form.field('name')} />
        <PasswordInput label="Password" autoComplete={password} required {...form.field('password')} />
        <FormProblem problem={form.problem} />
        <Button type="submit" size="sm" loading={form.sending}>
          {label}
        </Button>
        {others}
      </Stack>
    </form>
  );
}
