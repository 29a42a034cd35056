/** Who tells that something happened: the webhooks of a project, and what they delivered. */
import { Button, Modal } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconPencil, IconPlus, IconRotate, IconTrash, IconWebhook } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, getProjectOptions, type HookView, listHooksOptions, listHooksQueryKey } from '@/api';
import { useMay } from '@/app/session';
import { Confirm } from '@/ui/confirm';
import { Once } from '@/ui/once';
import { Empty, Loaded } from '@/ui/panels';
import { Facts, Row, Rows } from '@/ui/rows';
import { Section } from '@/ui/section';
import { Copy } from '@/ui/small';
import { Ago } from '@/ui/time';
import { told } from '@/ui/told';
import { Deliveries } from './deliveries';
import { forgeOf, kindOf } from './forges';
import { HookForm } from './hook-form';
import classes from './hooks.module.css';

export function Hooks({ project }: { project: string }) {
  const hooks = useQuery(listHooksOptions({ path: { project } }));
  const [fresh, setFresh] = useState<HookView>(); // its secret is told this once
  return (
    <>
      <Section
        title="Webhooks"
        about="A forge tells the server of pushes, tags and pull requests; anything else can start pipelines by POST."
        actions={<Add project={project} onAdded={setFresh} />}
        bare
      >
        {fresh && <Fresh hook={fresh} onSeen={() => setFresh(undefined)} />}
        <Loaded query={hooks} rows={2}>
          {(all) =>
            all.length === 0 && !fresh ? (
              <Empty icon={<IconWebhook size={28} stroke={1.4} />} title="No webhook yet">
                Without one, pipelines start by hand, by schedule, or where the project looks for changes by itself.
              </Empty>
            ) : (
              <Rows label="Webhooks">
                {all.map((hook) => (
                  <Hook key={hook.name} project={project} hook={hook} onSecret={setFresh} />
                ))}
              </Rows>
            )
          }
        </Loaded>
      </Section>
      <Deliveries project={project} />
    </>
  );
}

function useFreshHooks(project: string) {
  const queries = useQueryClient();
  return () => queries.invalidateQueries({ queryKey: listHooksQueryKey({ path: { project } }) });
}

function Add({ project, onAdded }: { project: string; onAdded: (hook: HookView) => void }) {
  const [opened, modal] = useDisclosure();
  const source = useQuery(getProjectOptions({ path: { project } }));
  const freshen = useFreshHooks(project);
  const may = useMay();
  if (!may('hook.change', project)) return null;
  return (
    <>
      <Button variant="default" leftSection={<IconPlus size={14} />} onClick={modal.open}>
        Add a webhook
      </Button>
      <Modal opened={opened} onClose={modal.close} title="Add a webhook" size="lg">
        <HookForm
          project={project}
          kind={kindOf(source.data?.url ?? '')}
          onCancel={modal.close}
          onDone={(hook) => {
            modal.close();
            onAdded(hook);
            return freshen();
          }}
        />
      </Modal>
    </>
  );
}

/** A new webhook, or one with a new secret: what to enter at the forge. */
function Fresh({ hook, onSeen }: { hook: HookView; onSeen: () => void }) {
  const forge = forgeOf(hook.kind);
  return (
    <div className={classes.fresh}>
      <Once title={`The secret of ${hook.name}`} value={hook.secret ?? ''} onSeen={onSeen}>
        <p className={classes.lead}>The server shows it this once. The address is</p>
        <div className={classes.address}>
          <code>{hook.url}</code>
          <Copy value={hook.url} label="Copy the address" />
        </div>
        <ol className={classes.steps}>
          {forge.steps.map((step) => (
            <li key={step}>{step}</li>
          ))}
        </ol>
      </Once>
    </div>
  );
}

interface HookProps {
  project: string;
  hook: HookView;
  onSecret: (hook: HookView) => void;
}

function Hook({ project, hook, onSecret }: HookProps) {
  const may = useMay();
  return (
    <Row
      icon={<IconWebhook size={17} stroke={1.6} />}
      title={hook.name}
      sub={
        <span className={classes.url}>
          <code>{hook.url}</code>
          <Copy value={hook.url} label={`Copy the address of ${hook.name}`} />
        </span>
      }
      meta={
        <Facts>
          <span>{forgeOf(hook.kind).label}</span>
          {hook.kind !== 'generic' && <span>{hook.has_token ? 'tells statuses' : 'tells no statuses'}</span>}
          <span>
            added <Ago at={hook.created_at} />
          </span>
        </Facts>
      }
      actions={may('hook.change', project) && <HookActions project={project} hook={hook} onSecret={onSecret} />}
    />
  );
}

function HookActions({ project, hook, onSecret }: HookProps) {
  const freshen = useFreshHooks(project);
  const [editing, edit] = useDisclosure();
  return (
    <>
      <Button variant="subtle" color="gray" leftSection={<IconPencil size={14} />} onClick={edit.open}>
        Edit
      </Button>
      <NewSecret project={project} hook={hook} onSecret={onSecret} />
      <Confirm
        label="Remove"
        title={`Remove the webhook ${hook.name}`}
        word={hook.name}
        variant="subtle"
        color="red"
        leftSection={<IconTrash size={14} />}
        aria-label={`Remove ${hook.name}`}
        act={() => api.removeHook({ path: { project, name: hook.name } })}
        onDone={freshen}
      >
        Its deliveries are removed, too, and what its address is sent is refused from then on.
      </Confirm>
      <Modal opened={editing} onClose={edit.close} title={`Webhook ${hook.name}`} size="lg">
        <HookForm
          project={project}
          hook={hook}
          kind="github"
          onCancel={edit.close}
          onDone={() => {
            edit.close();
            told('Saved');
            return freshen();
          }}
        />
      </Modal>
    </>
  );
}

function NewSecret({ project, hook, onSecret }: HookProps) {
  return (
    <Confirm
      label="New secret"
      title={`A new secret for ${hook.name}`}
      variant="subtle"
      color="gray"
      leftSection={<IconRotate size={14} />}
      aria-label={`New secret for ${hook.name}`}
      act={async () => {
        const { data } = await api.changeHook({ path: { project, name: hook.name }, body: { secret: '' } });
        onSecret(data);
      }}
    >
      What is signed with the old one is refused at once, until the new one stands at the forge.
    </Confirm>
  );
}
