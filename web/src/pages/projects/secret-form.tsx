import { TagsInput, Textarea, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { api, listPipelinesOptions, type SecretView } from '@/api';
import { Beside, Fields, FormButtons, FormProblem } from '@/ui/form';
import { type ApiForm, useApiForm } from '@/ui/forms';
import { environmentsOf } from './environments';

interface SecretFormProps {
  project: string;
  /** The one whose value is replaced; its scope stays, for that tells values of a name apart. */
  secret?: SecretView;
  onDone: () => unknown;
  onCancel: () => void;
}

type SecretValues = { name: string; value: string; environment: string; branches: string; steps: string[] };

export function SecretForm({ project, secret, onDone, onCancel }: SecretFormProps) {
  const form: ApiForm<SecretValues> = useApiForm({
    initialValues: {
      name: secret?.name ?? '',
      value: '',
      environment: secret?.environment ?? '',
      branches: secret?.branches ?? '',
      steps: secret?.steps ?? [],
    } as SecretValues,
    send: ({ name, ...body }) => api.putSecret({ path: { project, name }, body }),
    onDone,
  });
  return (
    <form onSubmit={form.submit}>
      <Fields>
        {!secret && (
          <TextInput
            label="Name"
            description="As steps name it: letters, digits and _."
            placeholder="DEPLOY_KEY"
            required
            spellCheck={false}
            autoComplete="off"
            data-autofocus
            {...form.field('name')}
          />
        )}
        <Textarea
          label="Value"
          description="It is never shown again."
          required
          autosize
          minRows={2}
          maxRows={10}
          spellCheck={false}
          autoComplete="off"
          classNames={{ input: 'mono' }}
          data-autofocus={secret ? true : undefined}
          {...form.field('value')}
        />
        {!secret && <Scope form={form} project={project} />}
        <FormProblem problem={form.problem} />
        <FormButtons label={secret ? 'Replace' : 'Add'} sending={form.sending} onCancel={onCancel} />
      </Fields>
    </form>
  );
}

/** Where alone it may be used. */
function Scope({ form, project }: { form: Pick<ApiForm<SecretValues>, 'field'>; project: string }) {
  const pipelines = useQuery(listPipelinesOptions({ path: { project } })).data?.pipelines ?? [];
  const steps = [...new Set(pipelines.flatMap((each) => each.steps.map((step) => step.name)))];
  return (
    <>
      <Beside>
        <TextInput
          label="Only for the environment"
          placeholder={environmentsOf(pipelines)[0]?.name ?? 'production'}
          {...form.field('environment')}
        />
        <TextInput
          label="Only for branches"
          description="release/*, or tags/v*"
          spellCheck={false}
          {...form.field('branches')}
        />
      </Beside>
      <TagsInput
        label="Only for steps"
        description="Empty: for all that name it."
        data={steps}
        comboboxProps={{ withinPortal: false }}
        {...form.field('steps')}
      />
    </>
  );
}
