import { Alert, Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { api, listProvidersOptions, setupStateOptions } from '@/api';
import { useFreshStart } from '@/app/session';
import { type ApiForm, useApiForm } from '@/ui/forms';
import { EntryForm } from './form';
import { EntryFrame, useLeaving } from './frame';
import { placeWithin } from './place-within';

type Values = { name: string; password: string };

export function Login() {
  const { next, problem } = useSearch({ from: '/login' });
  const navigate = useNavigate();
  const freshStart = useFreshStart();
  const setup = useQuery(setupStateOptions());
  useLeaving('/setup', setup.data?.needed === true);
  const form: ApiForm<Values> = useApiForm({
    initialValues: { name: '', password: '' } as Values,
    send: (body) => api.login({ body }),
    onDone: () => {
      freshStart();
      return navigate({ href: placeWithin(next) });
    },
    onFailed: () => form.form.setFieldValue('password', ''),
  });
  return (
    <EntryFrame title="Log in">
      <EntryForm
        form={form}
        label="Log in"
        password="current-password"
        focus
        others={<Providers next={placeWithin(next)} />}
      >
        {problem && <Alert color="red">{problem}</Alert>}
      </EntryForm>
    </EntryFrame>
  );
}

function Providers({ next }: { next: string }) {
  const providers = useQuery(listProvidersOptions());
  return providers.data?.map((provider) => (
    <Button
      key={provider.name}
      component="a"
      size="sm"
      variant="default"
      href={`/api/v1/login/${encodeURIComponent(provider.name)}?after=${encodeURIComponent(next)}`}
    >
      Log in with {provider.title}
    </Button>
  ));
}
