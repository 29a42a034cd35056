/** When a channel is told: at once or together, and not in quiet hours. */
import { Checkbox, MultiSelect, Select, TextInput } from '@mantine/core';
import { Beside } from '@/ui/form';
import type { ApiForm } from '@/ui/forms';
import { zoneNames } from '@/ui/zones';
import { EVENTS } from './events';
import type { Values } from './values';

const DIGESTS: { value: Values['digest']; label: string }[] = [
  { value: 'at once', label: 'At once' },
  { value: 'hourly', label: 'Together, every hour' },
  { value: 'daily', label: 'Together, once a day' },
];

export function When({ form }: { form: ApiForm<Values> }) {
  const { digest, quiet } = form.form.values;
  return (
    <>
      <Beside>
        <Select
          label="How soon"
          data={DIGESTS}
          allowDeselect={false}
          comboboxProps={{ withinPortal: false }}
          {...form.field('digest')}
        />
        {digest === 'daily' && <Time label="Time of day" {...form.field('digestAt')} />}
        {digest !== 'at once' && <Zone {...form.field('digestZone')} />}
      </Beside>
      <Checkbox
        label="Quiet hours"
        description="What comes in them is told at their end."
        {...form.field('quiet', 'checkbox')}
      />
      {quiet && <QuietFields form={form} />}
    </>
  );
}

function QuietFields({ form }: { form: ApiForm<Values> }) {
  return (
    <>
      <Beside>
        <Time label="From" {...form.field('begin')} />
        <Time label="To" {...form.field('end')} />
        <Zone {...form.field('quietZone')} />
      </Beside>
      <MultiSelect
        label="But for"
        description="What is urgent is told all the same."
        placeholder={form.form.values.urgent.length === 0 ? 'Nothing' : undefined}
        data={EVENTS.map(({ value, label }) => ({ value, label }))}
        comboboxProps={{ withinPortal: false }}
        {...form.field('urgent')}
      />
    </>
  );
}

type FieldProps = ReturnType<ApiForm<Values>['field']>;

function Time({ label, ...field }: FieldProps & { label: string }) {
  return <TextInput type="time" label={label} required {...field} />;
}

function Zone(field: FieldProps) {
  return (
    <Select
      label="Time zone"
      data={zoneNames(field.value as string)}
      searchable
      limit={60}
      allowDeselect={false}
      nothingFoundMessage="No such time zone"
      comboboxProps={{ withinPortal: false }}
      {...field}
    />
  );
}
