/** The settings of a project as its form has them: sizes in GiB, nothing as empty text. */
import type { SettingsIn } from '@/api';

type Maybe = number | '';

export type SettingsValues = {
  protected: string[];
  protected_tags: string[];
  keep_runs: Maybe;
  keep_days: Maybe;
  keep_bytes: Maybe;
  poll: Maybe;
  cancel_closed: boolean;
  four_eyes: boolean;
  any_variables: boolean;
};

const GIB = 2 ** 30;
const shown = (value: number | null | undefined): Maybe => value ?? '';
const sent = (value: Maybe): number | null => (value === '' ? null : Number(value));

export function valuesOf(settings: SettingsIn): SettingsValues {
  return {
    protected: settings.protected ?? [],
    protected_tags: settings.protected_tags ?? [],
    keep_runs: shown(settings.keep_runs),
    keep_days: shown(settings.keep_days),
    keep_bytes: settings.keep_bytes == null ? '' : Math.round((settings.keep_bytes / GIB) * 100) / 100,
    poll: shown(settings.poll),
    cancel_closed: settings.cancel_closed ?? true,
    four_eyes: settings.four_eyes ?? false,
    any_variables: settings.any_variables ?? false,
  };
}

export function settingsOf(values: SettingsValues): SettingsIn {
  return {
    protected: values.protected,
    protected_tags: values.protected_tags,
    keep_runs: sent(values.keep_runs),
    keep_days: sent(values.keep_days),
    keep_bytes: values.keep_bytes === '' ? null : Math.round(Number(values.keep_bytes) * GIB),
    poll: sent(values.poll),
    cancel_closed: values.cancel_closed,
    four_eyes: values.four_eyes,
    any_variables: values.any_variables,
  };
}
