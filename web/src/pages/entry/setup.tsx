import { Text, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useLocation, useNavigate } from '@tanstack/react-router';
import { api, setupStateOptions } from '@/api';
import { useFreshStart } from '@/app/session';
import { type ApiForm, useApiForm } from '@/ui/forms';
import { EntryForm } from './form';
import { EntryFrame, useLeaving } from './frame';

type Values = { code: string; name: string; password: string };

/** The first page of a new server: who proves to have started it becomes its admin. */
export function Setup() {
  const code = useLocation().hash.replace(/^code=/, '');
  const navigate = useNavigate();
  const freshStart = useFreshStart();
  const state = useQuery(setupStateOptions());
  const form: ApiForm<Values> = useApiForm({
    initialValues: { code, name: '', password: '' } as Values,
    send: (body) => api.setUp({ body }),
    onDone: () => {
      freshStart();
      return navigate({ to: '/' });
    },
  });
  useLeaving('/login', state.data?.needed === false && form.untried);
  return (
    <EntryFrame title="Welcome">
      <EntryForm form={form} label="Begin" password="new-password" focus={!!code}>
        <Text size="sm" c="dimmed">
          Nobody has an account on this server yet. Yours will be the first, and may do everything.
        </Text>
        <TextInput
          label="Code"
          description="The server printed it when it started: it shows that the server is yours."
          required
          autoComplete="off"
          autoFocus={!code}
          {...form.field('code')}
        />
      </EntryForm>
    </EntryFrame>
  );
}
