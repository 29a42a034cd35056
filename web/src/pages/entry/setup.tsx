import { Alert, Button, PasswordInput, Stack, Text, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useLocation, useNavigate } from '@tanstack/react-router';
import { api, asProblem, setupStateOptions } from '@/api';
import { askAgain } from '@/api/live';
import { EntryFrame, useLeaving } from './frame';

/** The first page of a new server: who proves to have started it becomes its admin. */
export function Setup() {
  const code = useLocation().hash.replace(/^code=/, '');
  const queries = useQueryClient();
  const navigate = useNavigate();
  const state = useQuery(setupStateOptions());
  const form = useForm({ mode: 'uncontrolled', initialValues: { code, name: '', password: '' } });
  const setUp = useMutation({
    mutationFn: (body: { code: string; name: string; password: string }) => api.setUp({ body }),
    onSuccess: async () => {
      queries.clear();
      askAgain();
      await navigate({ to: '/' });
    },
    onError: () => {},
  });
  useLeaving('/login', state.data?.needed === false && setUp.isIdle);
  const failed = setUp.isError ? asProblem(setUp.error).problem : undefined;
  return (
    <EntryFrame title="Welcome">
      <form onSubmit={form.onSubmit((values) => setUp.mutate(values))}>
        <Stack gap="sm">
          <Text size="sm" c="dimmed">
            Nobody has an account on this server yet. Yours will be the first, and may do everything.
          </Text>
          {failed && (
            <Alert color="red" title={failed.detail}>
              {failed.hint}
            </Alert>
          )}
          <TextInput
            label="Code"
            description="The server printed it when it started: it shows that the server is yours."
            required
            autoComplete="off"
            autoFocus={!code}
            key={form.key('code')}
            {...form.getInputProps('code')}
          />
          <TextInput
            label="Name"
            autoComplete="username"
            required
            autoFocus={!!code}
            key={form.key('name')}
            {...form.getInputProps('name')}
          />
          <PasswordInput
            label="Password"
            autoComplete="new-password"
            required
            key={form.key('password')}
            {...form.getInputProps('password')}
          />
          <Button type="submit" size="sm" loading={setUp.isPending}>
            Begin
          </Button>
        </Stack>
      </form>
    </EntryFrame>
  );
}
