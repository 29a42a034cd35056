import { TextInput } from '@mantine/core';
import { api, type MadeBot, type Network } from '@/api';
import { networkWord } from '@/pages/channels/kinds';
import { Choice } from '@/ui/choice';
import { Fields, FormButtons, FormProblem } from '@/ui/form';
import { useApiForm } from '@/ui/forms';

const NETWORKS: Network[] = ['matrix', 'slack', 'telegram'];

interface BotFormProps {
  onDone: (made: MadeBot) => unknown;
  onCancel: () => void;
}

export function BotForm({ onDone, onCancel }: BotFormProps) {
  const form = useApiForm({
    initialValues: { name: '', network: 'matrix' as Network },
    send: (body) => api.addBot({ body }),
    onDone: ({ data }) => onDone(data),
  });
  return (
    <form onSubmit={form.submit}>
      <Fields>
        <Choice
          label="Network"
          data={NETWORKS.map((value) => ({ value, label: networkWord(value) }))}
          {...form.field('network')}
        />
        <TextInput
          label="Name"
          description="What you know it by; people see the name that its network shows."
          placeholder="helper"
          required
          data-autofocus
          autoComplete="off"
          {...form.field('name')}
        />
        <FormProblem problem={form.problem} />
        <FormButtons label="Add the bot" sending={form.sending} onCancel={onCancel} />
      </Fields>
    </form>
  );
}
