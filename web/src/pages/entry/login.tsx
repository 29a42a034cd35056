import { Alert, Button, PasswordInput, Stack, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { api, asProblem, listProvidersOptions, setupStateOptions } from '@/api';
import { askAgain } from '@/api/live';
import { EntryFrame, useLeaving } from './frame';

/** Only a place within these pages: an address that leads elsewhere would make our login page a help for fraud. */
export function placeWithin(next: string | undefined): string {
  if (!next) return '/';
  const url = new URL(next, window.location.origin);
  return next.startsWith('/') && url.origin === window.location.origin ? url.pathname + url.search + url.hash : '/';
}

export function Login() {
  const { next, problem } = useSearch({ from: '/login' });
  const queries = useQueryClient();
  const navigate = useNavigate();
  const setup = useQuery(setupStateOptions());
  const providers = useQuery(listProvidersOptions());
  const form = useForm({ mode: 'uncontrolled', initialValues: { name: '', password: '' } });
  const login = useMutation({
    mutationFn: (body: { name: string; password: string }) => api.login({ body }),
    onSuccess: async () => {
      queries.clear();
      askAgain();
      await navigate({ href: placeWithin(next) });
    },
    onError: () => form.setFieldValue('password', ''),
  });
  useLeaving('/setup', setup.data?.needed === true);
  const failed = login.isError ? asProblem(login.error).problem : undefined;
  return (
    <EntryFrame title="Log in">
      <form onSubmit={form.onSubmit((values) => login.mutate(values))}>
        <Stack gap="sm">
          {problem && <Alert color="red">{problem}</Alert>}
          {failed && (
            <Alert color="red" title={failed.detail}>
              {failed.hint}
            </Alert>
          )}
          <TextInput
            label="Name"
            autoComplete="username"
            required
            autoFocus
            key={form.key('name')}
            {...form.getInputProps('name')}
          />
          <PasswordInput
            label="Password"
            autoComplete="current-password"
            required
            key={form.key('password')}
            {...form.getInputProps('password')}
          />
          <Button type="submit" size="sm" loading={login.isPending}>
            Log in
          </Button>
          {providers.data?.map((provider) => (
            <Button
              key={provider.name}
              component="a"
              size="sm"
              variant="default"
              href={`/api/v1/login/${encodeURIComponent(provider.name)}?next=${encodeURIComponent(placeWithin(next))}`}
            >
              Log in with {provider.title}
            </Button>
          ))}
        </Stack>
      </form>
    </EntryFrame>
  );
}
