/** Add a webhook, or change one. */
import { Checkbox, PasswordInput, Select, Textarea, TextInput } from '@mantine/core';
import { api, type HookView } from '@/api';
import { Beside, Fields, FormButtons, FormProblem } from '@/ui/form';
import { type ApiForm, useApiForm } from '@/ui/forms';
import { FORGES, forgeOf, type HookKind, KINDS } from './forges';
import { inputsOf, linesOf, type Mapping, mappingOf } from './mapping';

type Values = {
  kind: HookKind;
  name: string;
  secret: string;
  token: string;
  forget: boolean;
  api_url: string;
  inputs: string;
  branch: string;
  commit: string;
};

interface HookFormProps {
  project: string;
  /** The one that is changed; none: a new one. */
  hook?: HookView;
  kind: HookKind;
  onDone: (hook: HookView) => void;
  onCancel: () => void;
}

export function HookForm({ project, hook, kind, onDone, onCancel }: HookFormProps) {
  const form = useApiForm({
    initialValues: valuesOf(hook, kind),
    validate: { inputs: (text) => (typeof inputsOf(text) === 'string' ? (inputsOf(text) as string) : null) },
    send: (values) =>
      hook
        ? api.changeHook({ path: { project, name: hook.name }, body: bodyOf(values) })
        : api.addHook({ path: { project }, body: { ...bodyOf(values), kind: values.kind, name: values.name } }),
    onDone: ({ data }) => onDone(data),
  });
  const chosen = form.form.values.kind;
  const kinds = form.field('kind');
  return (
    <form onSubmit={form.submit}>
      <Fields>
        {!hook && (
          <Beside>
            <Select
              label="Where from"
              data={KINDS.map((value) => ({ value, label: FORGES[value].label }))}
              allowDeselect={false}
              comboboxProps={{ withinPortal: false }}
              {...kinds}
              onChange={(value) => {
                if (form.form.values.name === chosen) form.form.setFieldValue('name', value as HookKind);
                kinds.onChange(value);
              }}
            />
            <TextInput
              label="Name"
              description={chosen === 'generic' ? 'Pipelines name it in on: webhook.' : undefined}
              required
              {...form.field('name')}
            />
          </Beside>
        )}
        <PasswordInput
          label="Secret"
          description={hook ? 'Empty: it stays as it is.' : 'Empty: a random one is made, which is best.'}
          autoComplete="new-password"
          {...form.field('secret')}
        />
        {chosen === 'generic' ? <MappingFields form={form} /> : <StatusFields form={form} hook={hook} />}
        <FormProblem problem={form.problem} />
        <FormButtons label={hook ? 'Save' : 'Add the webhook'} sending={form.sending} onCancel={onCancel} />
      </Fields>
    </form>
  );
}

function StatusFields({ form, hook }: { form: ApiForm<Values>; hook: HookView | undefined }) {
  const forge = forgeOf(form.form.values.kind);
  return (
    <>
      <PasswordInput
        label={`Token of ${forge.label}`}
        description={`To tell it how each commit stands, and to find pull requests. ${forge.token}${hook?.has_token ? ' There is one; empty: it stays.' : ''}`}
        autoComplete="new-password"
        disabled={form.form.values.forget}
        {...form.field('token')}
      />
      {hook?.has_token && (
        <Checkbox label="Forget the token: no statuses are told any more" {...form.field('forget', 'checkbox')} />
      )}
      <TextInput
        label="Address of its API"
        description={
          forge.apiUrl ? `Empty: ${forge.apiUrl}` : 'Needed with a token, like https://git.example.org/api/v1'
        }
        {...form.field('api_url')}
      />
    </>
  );
}

function MappingFields({ form }: { form: ApiForm<Values> }) {
  return (
    <>
      <Textarea
        label="Inputs"
        description="Where they stand in the body, a line each. Empty: fields at the top of the body, by their names."
        placeholder="target = deploy.to.0.name"
        autosize
        minRows={2}
        spellCheck={false}
        classNames={{ input: 'mono' }}
        {...form.field('inputs')}
      />
      <Beside>
        <TextInput label="Branch" description="Where the body has it." placeholder="ref" {...form.field('branch')} />
        <TextInput
          label="Commit"
          description="Where the body has it."
          placeholder="head.id"
          {...form.field('commit')}
        />
      </Beside>
    </>
  );
}

function valuesOf(hook: HookView | undefined, kind: HookKind): Values {
  const mapping = (hook?.mapping ?? {}) as Mapping;
  return {
    kind: (hook?.kind as HookKind | undefined) ?? kind,
    name: hook?.name ?? kind,
    secret: '',
    token: '',
    forget: false,
    api_url: hook?.api_url ?? '',
    inputs: linesOf(mapping.inputs),
    branch: mapping.branch ?? '',
    commit: mapping.commit ?? '',
  };
}

/** An empty secret or token says: as it is. To the API an empty one means another thing: a new secret, no token. */
function bodyOf(values: Values) {
  return {
    secret: values.secret || null,
    token: values.forget ? '' : values.token || null,
    api_url: values.kind === 'generic' ? null : values.api_url.trim(),
    mapping: values.kind === 'generic' ? mappingOf(values) : null,
  };
}
