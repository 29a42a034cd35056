import { describe, expect, it, test } from 'vitest';
import type { Role } from '@/api';
import { asksFirst, changeWords, mayWords, nounOf } from './roles';

test.each<[Role, Role, boolean]>([
  ['developer', 'viewer', true],
  ['maintainer', 'approver', true],
  ['viewer', 'maintainer', true],
  ['viewer', 'developer', false],
  ['developer', 'approver', false],
])('from %s to %s asks first: %s', (before, after, asks) => {
  expect(asksFirst(before, after)).toBe(asks);
});

describe('changeWords', () => {
  it('says all that is taken away', () => {
    expect(changeWords('eve', 'approver', 'viewer')).toBe(
      'eve can no longer start, cancel and rerun, or approve deployments and what comes from outside.',
    );
  });

  it('says all that is given', () => {
    expect(changeWords('eve', 'approver', 'maintainer')).toBe(
      'eve can also change settings, secrets, webhooks and members.',
    );
  });
});

test('each role is told by what it adds', () => {
  expect([mayWords('viewer'), mayWords('developer')]).toEqual([
    'can look at runs, logs and files',
    'can also start, cancel and rerun',
  ]);
});

test('roles as what one makes somebody', () => {
  expect([nounOf('approver'), nounOf('viewer')]).toEqual(['an approver', 'a viewer']);
});
