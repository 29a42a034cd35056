import { Input, SegmentedControl } from '@mantine/core';
import type { Visibility } from '@/api';
import classes from './visibility.module.css';

const WORDS: Record<Visibility, string> = {
  private: 'Only those who have a role in it, and admins of the server.',
  public: 'Everybody who reaches the server may look at its runs, logs and files.',
};

interface VisibilityFieldProps {
  value?: Visibility;
  onChange: (value: Visibility) => void;
}

export function VisibilityField({ value = 'private', onChange }: VisibilityFieldProps) {
  return (
    <Input.Wrapper
      label="Who may look at it"
      labelElement="div"
      classNames={{ label: classes.label }}
      description={WORDS[value]}
      inputWrapperOrder={['label', 'input', 'description']}
    >
      <SegmentedControl
        className={classes.choice}
        data={[
          { value: 'private', label: 'Members' },
          { value: 'public', label: 'Everybody' },
        ]}
        aria-label="Who may look at it"
        value={value}
        onChange={(chosen) => onChange(chosen as Visibility)}
      />
    </Input.Wrapper>
  );
}
