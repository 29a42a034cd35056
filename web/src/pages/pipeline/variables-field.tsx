/** Context variables of the run that is started: those of the pipeline with their values, and new ones. */
import { ActionIcon, Button, TextInput } from '@mantine/core';
import { IconPlus, IconX } from '@tabler/icons-react';
import classes from './start.module.css';
import type { FieldErrors, Filled, Variable } from './start-form';

interface VariablesFieldProps {
  declared: Record<string, string>;
  filled: Filled;
  errors: FieldErrors['variables'];
  change: (part: Partial<Filled>) => void;
}

export function VariablesField({ declared, filled, errors, change }: VariablesFieldProps) {
  const names = Object.keys(declared);
  const put = (row: Variable) => change({ more: filled.more.map((each) => (each.id === row.id ? row : each)) });
  return (
    <fieldset className={classes.variables}>
      <legend>Variables</legend>
      <p className={classes.note}>Every step finds them in its environment, and may change them for those after it.</p>
      {names.map((name) => (
        <div key={name} className={classes.variable}>
          <code>{name}</code>
          <TextInput
            aria-label={`Value of ${name}`}
            value={filled.declared[name] ?? declared[name]}
            error={errors[name]}
            onChange={(event) => change({ declared: { ...filled.declared, [name]: event.currentTarget.value } })}
          />
        </div>
      ))}
      {filled.more.map((row) => (
        <div key={row.id} className={classes.variable}>
          <TextInput
            aria-label="Name"
            placeholder="NAME"
            value={row.name}
            error={errors[row.name.trim()]}
            onChange={(event) => put({ ...row, name: event.currentTarget.value })}
            classNames={{ input: 'mono' }}
            data-autofocus
          />
          <TextInput
            aria-label={`Value of ${row.name || 'the new variable'}`}
            placeholder="value"
            value={row.value}
            onChange={(event) => put({ ...row, value: event.currentTarget.value })}
          />
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label={`Remove ${row.name || 'the new variable'}`}
            onClick={() => change({ more: filled.more.filter((each) => each.id !== row.id) })}
          >
            <IconX size={15} />
          </ActionIcon>
        </div>
      ))}
      <Button
        variant="subtle"
        size="compact-sm"
        leftSection={<IconPlus size={14} aria-hidden />}
        onClick={() => change({ more: [...filled.more, { id: Date.now(), name: '', value: '' }] })}
      >
        Add a variable
      </Button>
    </fieldset>
  );
}
