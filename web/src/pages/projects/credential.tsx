/** What opens a repository. It is sealed on the server and never shown again. */
import { PasswordInput, Textarea, TextInput } from '@mantine/core';
import type { CredentialIn } from '@/api';
import { Choice } from '@/ui/choice';
import { Fields } from '@/ui/form';
import type { ApiForm } from '@/ui/forms';
import type { Transport } from './address';

export type CredentialValues = {
  access: 'none' | 'password' | 'key';
  user: string;
  password: string;
  key: string;
  known_hosts: string;
};

export const NO_CREDENTIAL: CredentialValues = { access: 'none', user: '', password: '', key: '', known_hosts: '' };

/** What is sent: only what belongs to the way that was chosen, for the rest may have been typed before. */
export function credentialOf(values: CredentialValues): CredentialIn | null {
  if (values.access === 'password') return { user: values.user, password: values.password };
  if (values.access === 'key') return { key: values.key, known_hosts: values.known_hosts };
  return null;
}

interface CredentialFieldsProps<Values extends CredentialValues> {
  form: ApiForm<Values>;
  transport: Transport | undefined;
}

/** The ways in that fit the address: user and password for https, a key for ssh, nothing for a path. */
export function CredentialFields<Values extends CredentialValues>({ form, transport }: CredentialFieldsProps<Values>) {
  const { access } = form.form.values;
  const ways = [
    { value: 'none', label: 'Open to all' },
    ...(transport !== 'ssh' ? [{ value: 'password', label: 'User and password' }] : []),
    ...(transport !== 'https' ? [{ value: 'key', label: 'SSH key' }] : []),
  ];
  return (
    <Fields>
      <Choice label="How the server gets in" data={ways} {...form.field('access')} />
      {access === 'password' && <PasswordFields form={form} />}
      {access === 'key' && <KeyFields form={form} />}
    </Fields>
  );
}

function PasswordFields<Values extends CredentialValues>({ form }: { form: ApiForm<Values> }) {
  return (
    <>
      <TextInput
        label="User"
        description="Some forges take any name beside a token."
        autoComplete="off"
        {...form.field('user')}
      />
      <PasswordInput
        label="Password or token"
        description="A token that may only read the repository is best."
        required
        autoComplete="new-password"
        {...form.field('password')}
      />
    </>
  );
}

function KeyFields<Values extends CredentialValues>({ form }: { form: ApiForm<Values> }) {
  return (
    <>
      <Textarea
        label="Private key"
        description="Without a passphrase, as ssh-keygen writes it. Its public half belongs into the deploy keys of the repository."
        placeholder="-----BEGIN OPENSSH PRIVATE KEY-----"
        required
        autosize
        minRows={4}
        maxRows={10}
        spellCheck={false}
        classNames={{ input: 'mono' }}
        {...form.field('key')}
      />
      <Textarea
        label="Known hosts"
        description="Lines of ssh-keyscan HOST that you have compared with what the forge publishes. Without them the key that the host shows first is remembered."
        placeholder="example.org ssh-ed25519 AAAA…"
        autosize
        minRows={2}
        maxRows={6}
        spellCheck={false}
        classNames={{ input: 'mono' }}
        {...form.field('known_hosts')}
      />
    </>
  );
}
