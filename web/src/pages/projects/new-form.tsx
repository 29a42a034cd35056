import { TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api, type Visibility } from '@/api';
import { Beside, Fields, FormButtons, FormProblem } from '@/ui/form';
import { useApiForm } from '@/ui/forms';
import { Section } from '@/ui/section';
import { nameOf, transportOf } from './address';
import { projectsChanged } from './changed';
import { CredentialFields, type CredentialValues, credentialOf, NO_CREDENTIAL } from './credential';
import { VisibilityField } from './visibility';

type Values = CredentialValues & {
  url: string;
  name: string;
  default_branch: string;
  visibility: Visibility;
};

const BEGIN: Values = { ...NO_CREDENTIAL, url: '', name: '', default_branch: '', visibility: 'private' };

export function NewProjectForm() {
  const form = useNewProject();
  const [named, setNamed] = useState(false); // by hand: then the address does not name it any more
  const { url } = form.form.values;
  const address = form.field('url');
  return (
    <form onSubmit={form.submit}>
      <Section title="Repository">
        <Fields>
          <TextInput
            label="Address"
            description="https://…, ssh://…, user@host:path, or a path on the server where its admin allows that."
            placeholder="https://example.org/team/shop.git"
            required
            autoFocus
            spellCheck={false}
            autoComplete="off"
            {...address}
            onChange={(event) => {
              address.onChange(event);
              const given = event.currentTarget.value;
              form.form.setFieldValue('access', transportOf(given) === 'ssh' ? 'key' : 'none');
              if (!named) form.form.setFieldValue('name', nameOf(given));
            }}
          />
          {transportOf(url) && transportOf(url) !== 'path' && (
            <CredentialFields form={form} transport={transportOf(url)} />
          )}
        </Fields>
      </Section>
      <Section title="Project">
        <Fields>
          <Beside>
            <TextInput
              label="Name"
              description="It stands in addresses."
              required
              spellCheck={false}
              autoComplete="off"
              {...form.field('name')}
              onInput={() => setNamed(true)}
            />
            <TextInput
              label="Default branch"
              description="What the repository says, if empty."
              spellCheck={false}
              autoComplete="off"
              {...form.field('default_branch')}
            />
          </Beside>
          <VisibilityField {...form.field('visibility')} />
          <FormProblem problem={form.problem} />
          <FormButtons label={form.sending ? 'Fetching the repository' : 'Add and fetch'} sending={form.sending} />
        </Fields>
      </Section>
    </form>
  );
}

function useNewProject() {
  const queries = useQueryClient();
  const navigate = useNavigate();
  return useApiForm({
    initialValues: BEGIN,
    send: (values) => {
      const { url, name, default_branch, visibility } = values;
      return api.addProject({ body: { url, name, default_branch, visibility, credential: credentialOf(values) } });
    },
    onDone: ({ data }) => {
      void projectsChanged(queries);
      return navigate({ to: '/projects/new', search: { added: data.name }, replace: true });
    },
  });
}
