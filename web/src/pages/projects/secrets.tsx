/** The secrets of a project: names and for which steps they are. No page ever shows a value. */
import { Badge, Button, Modal } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconKey, IconPlus } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { api, listSecretsOptions, listSecretsQueryKey, type SecretView } from '@/api';
import { useMay } from '@/app/session';
import { Confirm } from '@/ui/confirm';
import { Empty, Loaded } from '@/ui/panels';
import { Facts, Row, Rows } from '@/ui/rows';
import { Section } from '@/ui/section';
import { Ago } from '@/ui/time';
import { told } from '@/ui/told';
import { SecretForm } from './secret-form';

export function Secrets({ project }: { project: string }) {
  const secrets = useQuery(listSecretsOptions({ path: { project } }));
  const may = useMay();
  return (
    <Section
      title="Secrets"
      about="A step that names one under secrets gets it as an environment variable. Of several values of a name, the narrowest that fits counts. Runs that are not trusted get none."
      actions={may('secret.write', project) && <Put project={project} />}
      bare
    >
      <Loaded query={secrets} rows={3}>
        {(all) =>
          all.length === 0 ? (
            <Empty icon={<IconKey size={28} stroke={1.4} />} title="No secrets">
              What is set here is sealed, and masked in logs.
            </Empty>
          ) : (
            <Rows label="Secrets">
              {all.map((secret) => (
                <Secret key={secret.id} project={project} secret={secret} />
              ))}
            </Rows>
          )
        }
      </Loaded>
    </Section>
  );
}

function useFreshSecrets(project: string) {
  const queries = useQueryClient();
  return () => queries.invalidateQueries({ queryKey: listSecretsQueryKey({ path: { project } }) });
}

/** Add a secret, or give one that is there a new value. */
function Put({ project, secret }: { project: string; secret?: SecretView }) {
  const [opened, modal] = useDisclosure();
  const freshen = useFreshSecrets(project);
  return (
    <>
      {secret ? (
        <Button variant="subtle" color="gray" onClick={modal.open} aria-label={`Replace ${secret.name}`}>
          Replace
        </Button>
      ) : (
        <Button variant="default" leftSection={<IconPlus size={14} />} onClick={modal.open}>
          Add a secret
        </Button>
      )}
      <Modal opened={opened} onClose={modal.close} title={secret ? `A new value for ${secret.name}` : 'Add a secret'}>
        <SecretForm
          project={project}
          secret={secret}
          onCancel={modal.close}
          onDone={() => {
            modal.close();
            told('Sealed and kept');
            return freshen();
          }}
        />
      </Modal>
    </>
  );
}

function Secret({ project, secret }: { project: string; secret: SecretView }) {
  const may = useMay();
  const freshen = useFreshSecrets(project);
  return (
    <Row
      icon={<IconKey size={17} stroke={1.6} />}
      title={
        <>
          <code>{secret.name}</code>
          <Scope secret={secret} />
        </>
      }
      sub={
        <Facts>
          <span>
            set by {secret.created_by} <Ago at={secret.updated_at} />
          </span>
          {secret.version > 1 && <span>version {secret.version}</span>}
        </Facts>
      }
      meta={
        <span>
          {secret.used_at === null ? 'not used yet' : 'used '}
          {secret.used_at !== null && <Ago at={secret.used_at} />}
        </span>
      }
      actions={
        may('secret.write', project) && (
          <>
            <Put project={project} secret={secret} />
            <Confirm
              label="Remove"
              title={`Remove ${secret.name}`}
              word={secret.name}
              variant="subtle"
              color="red"
              aria-label={`Remove ${secret.name}`}
              act={() => api.removeSecret({ path: { project, secret: secret.id } })}
              onDone={freshen}
            >
              Steps that need it will not start any more, unless another value fits them.
            </Confirm>
          </>
        )
      }
    />
  );
}

/** For which steps a value is. */
function Scope({ secret: { environment, branches, steps } }: { secret: SecretView }) {
  if (!environment && !branches && steps.length === 0) return <Badge color="gray">all steps</Badge>;
  return (
    <>
      {environment && <Badge color="gray">environment {environment}</Badge>}
      {branches && <Badge color="gray">branches {branches}</Badge>}
      {steps.map((step) => (
        <Badge key={step} color="gray">
          step {step}
        </Badge>
      ))}
    </>
  );
}
