import { Checkbox, NumberInput, Select, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { api, listProjectsOptions, type MadeToken, type Scope } from '@/api';
import { useMe } from '@/app/session';
import { clearButton } from '@/ui/clear-button';
import { Beside, Fields, FormButtons, FormProblem } from '@/ui/form';
import { useApiForm } from '@/ui/forms';
import classes from './people.module.css';

const SCOPES: { value: Scope; about: string; admin?: boolean }[] = [
  { value: 'read', about: 'look at projects, runs, logs and workspaces' },
  { value: 'run', about: 'start, cancel and rerun' },
  { value: 'approve', about: 'approve and reject' },
  { value: 'secrets', about: 'set and remove secrets' },
  { value: 'manage', about: 'change projects, webhooks, schedules and members' },
  { value: 'account', about: 'your own account' },
  { value: 'admin', about: 'users, runners and the server', admin: true },
];

type Values = { name: string; scopes: Scope[]; project: string | null; days: number | '' };

interface TokenFormProps {
  onDone: (token: MadeToken) => unknown;
  onCancel: () => void;
}

export function TokenForm({ onDone, onCancel }: TokenFormProps) {
  const me = useMe();
  const projects = useQuery(listProjectsOptions());
  const form = useApiForm({
    initialValues: { name: '', scopes: ['read'], project: null, days: 90 } as Values,
    validate: { scopes: (scopes) => (scopes.length > 0 ? null : 'It needs one at least') },
    send: ({ days, ...body }) => api.createToken({ body: { ...body, days: days === '' ? undefined : Number(days) } }),
    onDone: ({ data }) => onDone(data),
  });
  return (
    <form onSubmit={form.submit}>
      <Fields>
        <TextInput
          label="Name"
          description="What you know it by."
          placeholder="deploy bot"
          required
          data-autofocus
          autoComplete="off"
          {...form.field('name')}
        />
        <Checkbox.Group
          label="Scopes"
          description="What it opens, as far as you may yourself."
          {...form.field('scopes')}
        >
          <div className={classes.scopes}>
            {SCOPES.filter((scope) => !scope.admin || me?.admin).map((scope) => (
              <Checkbox key={scope.value} value={scope.value} label={scope.value} description={scope.about} />
            ))}
          </div>
        </Checkbox.Group>
        <Beside>
          <Select
            label="Only for the project"
            placeholder="All that I may see"
            data={(projects.data ?? []).map((project) => project.name)}
            clearable
            clearButtonProps={clearButton('All that I may see')}
            searchable
            comboboxProps={{ withinPortal: false }}
            {...form.field('project')}
          />
          <NumberInput label="Days" description="366 at most." required min={1} max={366} {...form.field('days')} />
        </Beside>
        <FormProblem problem={form.problem} />
        <FormButtons label="Make it" sending={form.sending} onCancel={onCancel} />
      </Fields>
    </form>
  );
}
