/** Context variables of a run that is to be started: those that it would have with their values, and new ones. */
import { ActionIcon, Button, TextInput } from '@mantine/core';
import { IconPlus, IconX } from '@tabler/icons-react';
import classes from './editor.module.css';
import { type Edited, withAnother } from './values';

interface VariablesEditorProps {
  given: Record<string, string>;
  edited: Edited;
  /** What is wrong, by name. */
  errors: Record<string, string>;
  onChange: (edited: Edited) => void;
}

export function VariablesEditor({ given, edited, errors, onChange }: VariablesEditorProps) {
  const { values, more } = edited;
  return (
    <fieldset className={classes.fields}>
      <legend>Variables</legend>
      <p className={classes.note}>Every step finds them in its environment, and may change them for those after it.</p>
      {Object.entries(given).map(([name, before]) => (
        <Given
          key={name}
          name={name}
          before={before}
          value={values[name] ?? before}
          error={errors[name]}
          onChange={(value) => onChange({ values: { ...values, [name]: value }, more })}
        />
      ))}
      {more.map((each) => (
        <New
          key={each.id}
          name={each.name}
          value={each.value}
          error={errors[each.name.trim()]}
          onChange={(part) => onChange({ values, more: more.map((row) => (row === each ? { ...row, ...part } : row)) })}
          onRemove={() => onChange({ values, more: more.filter((row) => row !== each) })}
        />
      ))}
      <Button
        variant="subtle"
        size="compact-sm"
        leftSection={<IconPlus size={14} aria-hidden />}
        onClick={() => onChange(withAnother(edited))}
      >
        Add a variable
      </Button>
    </fieldset>
  );
}

interface GivenProps {
  name: string;
  before: string;
  value: string;
  error: string | undefined;
  onChange: (value: string) => void;
}

function Given({ name, before, value, error, onChange }: GivenProps) {
  return (
    <div className={classes.variable} data-changed={value !== before || undefined}>
      <code className={classes.name}>{name}</code>
      <TextInput
        aria-label={`Value of ${name}`}
        value={value}
        error={error}
        onChange={(event) => onChange(event.currentTarget.value)}
      />
    </div>
  );
}

interface NewProps {
  name: string;
  value: string;
  error: string | undefined;
  onChange: (part: { name?: string; value?: string }) => void;
  onRemove: () => void;
}

function New({ name, value, error, onChange, onRemove }: NewProps) {
  const called = name || 'the new variable';
  return (
    <div className={classes.variable}>
      <TextInput
        aria-label="Name"
        placeholder="NAME"
        value={name}
        error={error}
        onChange={(event) => onChange({ name: event.currentTarget.value })}
        classNames={{ input: 'mono' }}
        data-autofocus
      />
      <TextInput
        aria-label={`Value of ${called}`}
        placeholder="value"
        value={value}
        onChange={(event) => onChange({ value: event.currentTarget.value })}
      />
      <ActionIcon variant="subtle" color="gray" aria-label={`Remove ${called}`} onClick={onRemove}>
        <IconX size={15} />
      </ActionIcon>
    </div>
  );
}
