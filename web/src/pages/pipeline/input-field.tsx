/** One typed input of a pipeline. What is shown before anything was chosen is its default. */
import { Checkbox, NumberInput, Select, TextInput } from '@mantine/core';
import type { Input } from '@/api';

interface InputFieldProps {
  input: Input;
  /** As it goes to the API; undefined: not touched. */
  value: string | undefined;
  error: string | undefined;
  onChange: (value: string) => void;
}

export function InputField({ input, value, error, onChange }: InputFieldProps) {
  const shown = value ?? (input.default === null ? '' : String(input.default));
  const same = {
    label: input.name,
    description: input.description || undefined,
    error,
    required: input.default === null,
  };
  switch (input.type) {
    case 'boolean':
      return (
        <Checkbox
          label={input.name}
          description={input.description || undefined}
          error={error}
          checked={shown === 'true'}
          onChange={(event) => onChange(String(event.currentTarget.checked))}
        />
      );
    case 'choice':
      return (
        <Select
          {...same}
          data={input.options}
          value={shown || null}
          onChange={(chosen) => onChange(chosen ?? '')}
          allowDeselect={false}
          placeholder="Choose one"
          searchable={input.options.length > 8}
        />
      );
    case 'number':
      return <NumberInput {...same} value={shown} onChange={(number) => onChange(String(number))} />;
    default:
      return <TextInput {...same} value={shown} onChange={(event) => onChange(event.currentTarget.value)} />;
  }
}
