import { NumberInput, Switch, TagsInput } from '@mantine/core';
import type { ProjectView } from '@/api';
import { Beside, Fields, FormButtons, FormProblem } from '@/ui/form';
import { type ApiForm, useApiForm } from '@/ui/forms';
import { Section } from '@/ui/section';
import type { Save } from './settings';
import { type SettingsValues, settingsOf, valuesOf } from './settings-values';

/** Trust, retention, looking for changes, approvals. The API takes settings as a whole, so they are one form. */
export function SettingsForm({ project, save }: { project: ProjectView; save: Save }) {
  const form: ApiForm<SettingsValues> = useApiForm<SettingsValues, unknown>({
    initialValues: valuesOf(project.settings),
    send: (values) => save({ settings: settingsOf(values) }),
    onDone: () => form.form.resetDirty(),
  });
  return (
    <form onSubmit={form.submit}>
      <Section title="Trust" about="Only commits of protected branches and tags may have secrets.">
        <Fields>
          <TagsInput
            label="Protected branches"
            description="Patterns, like release/*. Empty: the default branch."
            {...form.field('protected')}
          />
          <TagsInput label="Protected tags" description="Patterns. * means all." {...form.field('protected_tags')} />
          <Switch
            label="Four eyes"
            description="Nobody approves what they started or have written."
            {...form.field('four_eyes', 'checkbox')}
          />
          <Switch
            label="Any variables"
            description="Who starts runs may set any, also of pipelines with secrets or environments."
            {...form.field('any_variables', 'checkbox')}
          />
        </Fields>
      </Section>
      <Section title="What is kept" about="Runs beyond any of these go, the oldest first. Empty: no limit.">
        <Fields>
          <Beside>
            <NumberInput label="Runs" min={0} allowDecimal={false} {...form.field('keep_runs')} />
            <NumberInput label="Days" min={0} {...form.field('keep_days')} />
            <NumberInput label="GiB" min={0} {...form.field('keep_bytes')} />
          </Beside>
        </Fields>
      </Section>
      <Section title="Changes of the repository">
        <Fields>
          <NumberInput
            label="Look every so many seconds"
            description="For remotes that send no webhooks: at least 10. Empty: never."
            allowDecimal={false}
            {...form.field('poll')}
          />
          <Switch
            label="Closed pull requests"
            description="Cancel their runs when they are closed or merged."
            {...form.field('cancel_closed', 'checkbox')}
          />
          <FormProblem problem={form.problem} />
          <FormButtons label="Save settings" sending={form.sending} disabled={!form.form.isDirty()} />
        </Fields>
      </Section>
    </form>
  );
}
