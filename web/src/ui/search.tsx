/** A field that narrows what a page shows. What is typed goes into the address, so it survives reload, Back and being sent to somebody. */
import { CloseButton, Kbd, TextInput } from '@mantine/core';
import { useHotkeys } from '@mantine/hooks';
import { IconSearch } from '@tabler/icons-react';
import { useEffect, useRef, useState } from 'react';

interface SearchFieldProps {
  label: string;
  value: string;
  onChange: (text: string) => void;
  /** Milliseconds of quiet before `onChange` is told: for what asks the server. */
  pause?: number;
  className?: string;
}

export function SearchField({ label, value, onChange, pause = 0, className }: SearchFieldProps) {
  const [text, setText] = useState(value);
  const field = useRef<HTMLInputElement>(null);
  const told = useRef(value);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useHotkeys([['/', () => field.current?.select()]]);
  useEffect(() => {
    if (value === told.current) return; // the address follows what is typed, and is late
    told.current = value;
    setText(value);
  }, [value]);
  useEffect(() => () => clearTimeout(timer.current), []);

  const tell = (next: string, after = pause) => {
    setText(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      told.current = next;
      onChange(next);
    }, after);
  };
  return (
    <TextInput
      ref={field}
      className={className}
      type="search"
      aria-label={label}
      placeholder={label}
      value={text}
      onChange={(event) => tell(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key === 'Escape') {
          if (text) tell('', 0);
          else field.current?.blur();
        }
      }}
      leftSection={<IconSearch size={15} aria-hidden />}
      rightSection={
        text ? <CloseButton size="sm" aria-label="Clear" onClick={() => tell('', 0)} /> : <Kbd size="xs">/</Kbd>
      }
    />
  );
}
