import type { Visibility } from '@/api';
import { Choice } from '@/ui/choice';

const WORDS: Record<Visibility, string> = {
  private: 'Only those who have a role in it, and admins of the server.',
  public: 'Everybody who reaches the server may look at its runs, logs and files.',
};

const CHOICES: { value: Visibility; label: string }[] = [
  { value: 'private', label: 'Members' },
  { value: 'public', label: 'Everybody' },
];

interface VisibilityFieldProps {
  value?: Visibility;
  onChange: (value: Visibility) => void;
}

export function VisibilityField({ value = 'private', onChange }: VisibilityFieldProps) {
  return (
    <Choice label="Who may look at it" description={WORDS[value]} data={CHOICES} value={value} onChange={onChange} />
  );
}
