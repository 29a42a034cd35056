import { describe, expect, it } from 'vitest';
import { settingsOf, valuesOf } from './settings-values';

const SETTINGS = {
  protected: ['main'],
  protected_tags: ['*'],
  keep_runs: 500,
  keep_days: null,
  keep_bytes: 50 * 2 ** 30,
  poll: null,
  cancel_closed: true,
  four_eyes: false,
  any_variables: true,
};

describe('settings', () => {
  it('go into the form and out of it unchanged', () => {
    expect(settingsOf(valuesOf(SETTINGS))).toEqual(SETTINGS);
  });

  it('are shown in GiB, and empty where there is no limit', () => {
    expect(valuesOf(SETTINGS)).toMatchObject({ keep_bytes: 50, keep_days: '', poll: '' });
  });

  it('tell zero from nothing', () => {
    const values = { ...valuesOf(SETTINGS), keep_runs: 0, keep_bytes: '' as const };
    expect(settingsOf(values)).toMatchObject({ keep_runs: 0, keep_bytes: null });
  });
});
