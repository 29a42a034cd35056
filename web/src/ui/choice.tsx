import { Input, SegmentedControl } from '@mantine/core';
import classes from './choice.module.css';

interface ChoiceProps<Value extends string> {
  label: string;
  description?: string;
  data: { value: Value; label: string }[];
  value?: Value;
  onChange?: (value: Value) => void;
}

/** One of a few, all of them in sight. */
export function Choice<Value extends string>({ label, description, data, value, onChange }: ChoiceProps<Value>) {
  return (
    <Input.Wrapper
      label={label}
      labelElement="div"
      description={description}
      inputWrapperOrder={['label', 'input', 'description']}
      classNames={{ label: classes.label }}
    >
      <SegmentedControl
        className={classes.choice}
        data={data}
        aria-label={label}
        value={value}
        onChange={(chosen) => onChange?.(chosen as Value)}
      />
    </Input.Wrapper>
  );
}
