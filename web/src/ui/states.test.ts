import { describe, expect, it } from 'vitest';
import { lookOfStep } from './states';

const step = (changes: Partial<Parameters<typeof lookOfStep>[0]>) =>
  lookOfStep({ state: 'pending', outcome: null, approve: [], holder: null, returning: false, ...changes });

describe('lookOfStep', () => {
  it('tells a service that is up from one that succeeded, and from one that is brought back', () => {
    expect(step({ state: 'serving', outcome: 'succeeded' })).toBe('serving');
    expect(step({ state: 'serving', outcome: 'succeeded', returning: true })).toBe('waiting');
    expect(step({ state: 'done', outcome: 'succeeded' })).toBe('succeeded');
  });

  it('tells who waits for people from who waits for others', () => {
    expect(step({ state: 'waiting', approve: ['ops'] })).toBe('approval');
    expect(step({ state: 'waiting' })).toBe('waiting');
    expect(step({ state: 'queued' })).toBe('waiting');
    expect(step({})).toBe('pending');
  });
});
