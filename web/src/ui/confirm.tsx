/** What cannot be undone asks again. */
import { Button, type ButtonProps, Group, Modal, Text, TextInput } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useMutation } from '@tanstack/react-query';
import { type FormEvent, type ReactNode, useState } from 'react';
import { asProblem } from '@/api';
import { FormProblem } from './form';

interface ConfirmProps extends Pick<ButtonProps, 'variant' | 'color' | 'leftSection' | 'disabled' | 'size'> {
  /** On the button, and on the one that does it. */
  label: string;
  title: string;
  /** What will happen. */
  children: ReactNode;
  /** What has to be typed first, for what hurts most. */
  word?: string;
  /** Whether it is nothing to be warned of. */
  harmless?: boolean;
  /** Says on the first button what it is about, where its place says that to those who see. */
  'aria-label'?: string;
  act: () => Promise<unknown>;
  onDone?: () => unknown;
}

export function Confirm({ label, title, children, word, harmless, act, onDone, ...button }: ConfirmProps) {
  const [opened, modal] = useDisclosure();
  return (
    <>
      <Button variant="default" {...button} onClick={modal.open}>
        {label}
      </Button>
      <Modal opened={opened} onClose={modal.close} title={title}>
        <Question label={label} word={word} harmless={harmless} act={act} onDone={onDone} close={modal.close}>
          {children}
        </Question>
      </Modal>
    </>
  );
}

type QuestionProps = Pick<ConfirmProps, 'label' | 'children' | 'word' | 'harmless' | 'act' | 'onDone'> & {
  close: () => void;
  /** On the button that does nothing. */
  stay?: string;
};

/** The form in it, for those who open it by other means than the button. */
export function Question(question: QuestionProps) {
  const { label, children, word, harmless = false, act, onDone, close, stay = 'Cancel' } = question;
  const [typed, setTyped] = useState('');
  const doing = useMutation({
    mutationFn: act,
    onSuccess: () => {
      close();
      return onDone?.();
    },
    onError: () => {},
  });
  const sure = word === undefined || typed === word;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (sure) doing.mutate();
  };
  return (
    <form onSubmit={submit}>
      <Text size="sm" component="div" mb="sm">
        {children}
      </Text>
      {word !== undefined && (
        <TextInput
          label={
            <>
              Type <code>{word}</code> to go on
            </>
          }
          value={typed}
          onChange={(event) => setTyped(event.currentTarget.value)}
          autoComplete="off"
          data-autofocus
          mb="sm"
        />
      )}
      <FormProblem problem={doing.isError ? asProblem(doing.error).problem : undefined} />
      <Group gap="xs" justify="flex-end" mt="sm">
        <Button variant="default" size="sm" onClick={close} data-autofocus={word === undefined || undefined}>
          {stay}
        </Button>
        <Button type="submit" size="sm" color={harmless ? undefined : 'red'} loading={doing.isPending} disabled={!sure}>
          {label}
        </Button>
      </Group>
    </form>
  );
}
