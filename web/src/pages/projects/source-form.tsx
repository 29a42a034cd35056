import { Switch, TextInput } from '@mantine/core';
import { useState } from 'react';
import type { ProjectPatch, ProjectView, Visibility } from '@/api';
import { Fields, FormButtons, FormProblem } from '@/ui/form';
import { useApiForm } from '@/ui/forms';
import { transportOf } from './address';
import { CredentialFields, type CredentialValues, credentialOf, NO_CREDENTIAL } from './credential';
import type { Save } from './settings';
import { VisibilityField } from './visibility';

type Values = CredentialValues & {
  url: string;
  default_branch: string;
  visibility: Visibility;
};

/** Where the repository is, how the server gets in, and who may look. */
export function SourceForm({ project, save }: { project: ProjectView; save: Save }) {
  const [newCredential, setNewCredential] = useState(false);
  const form = useApiForm<Values, unknown>({
    initialValues: {
      ...NO_CREDENTIAL,
      url: project.url,
      default_branch: project.default_branch,
      visibility: project.visibility,
    },
    send: (values) => save(changeOf(project, values, newCredential)),
    onDone: () => {
      setNewCredential(false);
      form.form.setValues(NO_CREDENTIAL);
    },
  });
  const { url } = form.form.values;
  return (
    <form onSubmit={form.submit}>
      <Fields>
        <TextInput label="Address" required spellCheck={false} {...form.field('url')} />
        <Switch
          label={project.has_credential ? 'Replace the credential' : 'It needs a credential'}
          description={project.has_credential ? 'There is one. It is never shown.' : undefined}
          checked={newCredential}
          onChange={(event) => setNewCredential(event.currentTarget.checked)}
        />
        {newCredential && <CredentialFields form={form} transport={transportOf(url)} />}
        <TextInput
          label="Default branch"
          description="Empty: what the repository says. Schedules and pipelines are read from it."
          spellCheck={false}
          {...form.field('default_branch')}
        />
        <VisibilityField {...form.field('visibility')} />
        <FormProblem problem={form.problem} />
        <FormButtons label="Save" sending={form.sending} disabled={!form.form.isDirty()} />
      </Fields>
    </form>
  );
}

/** Only what differs: an address that is sent is asked for by the server, whether it is new or not. */
function changeOf(project: ProjectView, values: Values, newCredential: boolean): ProjectPatch {
  return {
    ...(values.url.trim() !== project.url ? { url: values.url.trim() } : {}),
    ...(values.default_branch !== project.default_branch ? { default_branch: values.default_branch.trim() } : {}),
    ...(values.visibility !== project.visibility ? { visibility: values.visibility } : {}),
    ...(newCredential ? { credential: credentialOf(values) ?? {} } : {}), // an empty one takes it away
  };
}
