import { describe, expect, it } from 'vitest';
import { ruleWords } from './words';

describe('a rule in words', () => {
  it('says what, of which pipelines, on which branches, and when not', () => {
    const quiet = { begin: '22:00', end: '07:00', timezone: 'Europe/Berlin' };
    const rule = {
      on: ['recovered', 'failed', 'errored'],
      pipelines: ['release', 'deliver*'],
      branches: ['main'],
      quiet,
    } as const;
    expect(ruleWords({ ...rule, on: [...rule.on], pipelines: [...rule.pipelines], branches: ['main'] }, 'email')).toBe(
      'failed, errored, recovered of release, deliver* on main; quiet 22:00 to 07:00 Europe/Berlin',
    );
  });

  it('names what comes in quiet hours all the same', () => {
    const quiet = { begin: '22:00', end: '07:00', timezone: 'UTC', urgent: ['node_lost' as const] };
    expect(ruleWords({ on: ['failed'], quiet }, 'email')).toBe('failed; quiet 22:00 to 07:00 UTC but for machine lost');
  });

  it('says what is told together', () => {
    expect(ruleWords({ on: ['finished'], digest: 'hourly' }, 'email')).toBe('finished; together every hour');
    const daily = { on: ['failed' as const], digest: '08:30', timezone: 'Europe/Riga' };
    expect(ruleWords(daily, 'email')).toBe('failed; together at 08:30 Europe/Riga');
  });

  it('says whose runs, and whether somebody is called by name where that can be', () => {
    expect(ruleWords({ on: ['failed'], mine: true, mention: false }, 'matrix')).toBe(
      'failed of my runs; calls nobody by name',
    );
    expect(ruleWords({ on: ['failed'], mention: false }, 'email')).toBe('failed');
  });

  it('of nothing is that', () => {
    expect(ruleWords({ on: [], branches: ['main'] }, 'email')).toBe('nothing');
  });
});
