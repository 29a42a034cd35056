import { expect, it } from 'vitest';
import { fireTime } from './fire-times';

it('shows one moment by the clocks of several zones', () => {
  const at = Date.UTC(2026, 10, 30, 3, 30) / 1000;
  expect(fireTime(at, 'Europe/Berlin', 'en-GB')).toBe('Mon 30 Nov, 04:30');
  expect(fireTime(at, 'America/New_York', 'en-GB')).toBe('Sun 29 Nov, 22:30');
});
