import { describe, expect, it } from 'vitest';
import type { ChannelView, RuleView } from '@/api';
import { asksTarget, newChannel, patchOf, ruleOf, valuesOf } from './values';

const RULE: RuleView = {
  on: ['failed', 'recovered'],
  pipelines: ['release'],
  branches: ['main', 'release/*'],
  mine: false,
  mention: false,
  quiet: { begin: '21:30', end: '06:00', timezone: 'Europe/Berlin', urgent: ['errored'] },
  digest: '08:30',
  timezone: 'Europe/Riga',
};

const channel = (part: Partial<ChannelView> = {}): ChannelView => ({
  name: 'team',
  kind: 'matrix',
  target: '#team:example.org',
  rule: RULE,
  disabled: false,
  created_by: 'ada',
  created_at: 1,
  secret: null,
  ...part,
});

describe('what the form holds', () => {
  it('comes back as it was', () => {
    expect(ruleOf(valuesOf(channel(), 'email', 'UTC'), false)).toEqual(RULE);
    const hourly: RuleView = { ...RULE, digest: 'hourly', quiet: null };
    expect(ruleOf(valuesOf(channel({ rule: hourly }), 'email', 'UTC'), false)).toEqual(hourly);
    const plain: RuleView = { ...RULE, digest: '', timezone: 'UTC', quiet: null };
    expect(ruleOf(valuesOf(channel({ rule: plain }), 'email', 'Asia/Tokyo'), false)).toEqual(plain);
  });

  it('of a new channel is what one wants to know, in the zone of the browser', () => {
    const values = valuesOf(undefined, 'email', 'Europe/Riga');
    expect(values).toMatchObject({ kind: 'email', quiet: false, digest: 'at once', digestZone: 'Europe/Riga' });
    const rule = ruleOf({ ...values, quiet: true }, false);
    expect(rule.on).toEqual(['failed', 'errored', 'recovered', 'approval']);
    expect(rule.quiet).toEqual({ begin: '22:00', end: '07:00', timezone: 'Europe/Riga', urgent: [] });
  });

  it('is only mine where it is of a person', () => {
    const values = { ...valuesOf(undefined, 'email', 'UTC'), mine: true };
    expect([ruleOf(values, true).mine, ruleOf(values, false).mine]).toEqual([true, false]);
  });
});

describe('where a channel leads', () => {
  it('is asked but for one that leads to oneself', () => {
    expect([asksTarget('email', false), asksTarget('email', true), asksTarget('webhook', true)]).toEqual([
      true,
      false,
      true,
    ]);
    const values = { ...valuesOf(undefined, 'matrix', 'UTC'), name: 'me', target: ' #team:example.org ' };
    expect(newChannel(values, true).target).toBe('');
    expect(newChannel(values, false)).toMatchObject({ name: 'me', kind: 'matrix', target: '#team:example.org' });
  });

  it('stays when the address of a webhook, of which only the host is shown, is left empty', () => {
    const values = valuesOf(channel({ kind: 'webhook', target: 'https://hooks.example.org/…' }), 'email', 'UTC');
    expect(values.target).toBe('');
    expect(patchOf(values, false).target).toBeNull();
    expect(patchOf({ ...values, target: 'https://other.example.org/' }, false).target).toBe(
      'https://other.example.org/',
    );
  });

  it('is not said of one that leads to oneself', () => {
    expect(patchOf(valuesOf(channel({ target: '' }), 'email', 'UTC'), true).target).toBeNull();
    expect(patchOf(valuesOf(channel(), 'email', 'UTC'), false).target).toBe('#team:example.org');
  });
});
