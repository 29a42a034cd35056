import { Button } from '@mantine/core';
import { IconDeviceDesktop, IconLink } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import {
  api,
  listIdentitiesOptions,
  listIdentitiesQueryKey,
  listProvidersOptions,
  listSessionsOptions,
  listSessionsQueryKey,
  type ProviderView,
  type SessionView,
} from '@/api';
import { Confirm } from '@/ui/confirm';
import { Loaded } from '@/ui/panels';
import { Facts, Row, Rows } from '@/ui/rows';
import { Section } from '@/ui/section';
import { StateLabel } from '@/ui/states';
import { Ago } from '@/ui/time';
import { told } from '@/ui/told';
import { browserOf } from './agent';

export function Logins() {
  const sessions = useQuery(listSessionsOptions());
  const providers = useQuery(listProvidersOptions());
  return (
    <>
      <Section
        title="Where you are logged in"
        about="A login ends 12 hours after its last use, and after 7 days in any case."
        bare
      >
        <Loaded query={sessions} rows={2}>
          {(all) => (
            <Rows label="Logins">
              {all.map((session) => (
                <Session key={session.id} session={session} />
              ))}
            </Rows>
          )}
        </Loaded>
      </Section>
      {!!providers.data?.length && <Identities providers={providers.data} />}
    </>
  );
}

function Session({ session }: { session: SessionView }) {
  const queries = useQueryClient();
  const end = useMutation({
    mutationFn: () => api.endSession({ path: { session_id: session.id } }),
    onSuccess: () => told('That login has ended'),
    onSettled: () => queries.invalidateQueries({ queryKey: listSessionsQueryKey() }),
  });
  return (
    <Row
      icon={<IconDeviceDesktop size={17} stroke={1.6} />}
      title={
        <>
          <span title={session.agent}>{browserOf(session.agent)}</span>
          {session.current && <StateLabel look="succeeded" word="this one" />}
        </>
      }
      sub={
        <Facts>
          <span>{session.address}</span>
          <span>
            since <Ago at={session.created_at} />
          </span>
        </Facts>
      }
      meta={
        <Facts>
          <span>
            used <Ago at={session.used_at} />
          </span>
          <span>
            ends <Ago at={session.expires_at} />
          </span>
        </Facts>
      }
      actions={
        !session.current && (
          <Button variant="default" loading={end.isPending} onClick={() => end.mutate()}>
            End it
          </Button>
        )
      }
    />
  );
}

function Identities({ providers }: { providers: ProviderView[] }) {
  const queries = useQueryClient();
  const identities = useQuery(listIdentitiesOptions());
  const link = useMutation({
    mutationFn: (provider: string) => api.linkIdentity({ path: { provider }, query: { after: '/account?tab=logins' } }),
    onSuccess: ({ data }) => window.location.assign(data.url),
  });
  return (
    <Section title="Accounts elsewhere" about="By which you can log in, beside your password." bare>
      <Loaded query={identities} rows={1}>
        {(all) => (
          <Rows label="Accounts elsewhere">
            {providers.map((provider) => {
              const identity = all.find((each) => each.provider === provider.name);
              return (
                <Row
                  key={provider.name}
                  icon={<IconLink size={17} stroke={1.6} />}
                  title={provider.title}
                  sub={identity?.subject}
                  meta={
                    identity && (
                      <span>
                        linked <Ago at={identity.created_at} />
                      </span>
                    )
                  }
                  actions={
                    identity ? (
                      <Confirm
                        label="Unlink"
                        title={`Unlink ${provider.title}`}
                        act={() => api.unlinkIdentity({ path: { provider: provider.name } })}
                        onDone={() => queries.invalidateQueries({ queryKey: listIdentitiesQueryKey() })}
                      >
                        You log in by your password then. Without one this is refused.
                      </Confirm>
                    ) : (
                      <Button
                        variant="default"
                        loading={link.isPending && link.variables === provider.name}
                        onClick={() => link.mutate(provider.name)}
                      >
                        Link
                      </Button>
                    )
                  }
                />
              );
            })}
          </Rows>
        )}
      </Loaded>
    </Section>
  );
}
