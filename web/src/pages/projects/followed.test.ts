import { describe, expect, it } from 'vitest';
import { commitOf, linesOf } from './followed';

describe('linesOf', () => {
  it('has a line for each pipeline, those first of which something came', () => {
    const pipelines = [
      { pipeline: 'release', run: '01M', why: 'push to main' },
      { pipeline: 'docs', why: 'no path of its filter changed' },
      { pipeline: 'broken', problem: 'no such action' },
    ];
    expect(linesOf({ events: [{ event: 'push', pipelines }] })).toEqual([
      { pipeline: 'release', run: '01M', text: 'started' },
      { pipeline: 'broken', text: 'no such action', problem: true },
      { pipeline: 'docs', text: 'no path of its filter changed' },
    ]);
  });

  it('begins with what waits for approval', () => {
    const pipelines = [
      { pipeline: 'docs', why: 'no trigger `pull_request`', starts: false },
      { pipeline: 'checks', why: 'pull request 7 opened', starts: true },
    ];
    expect(linesOf({ events: [{ event: 'pull_request', pipelines }] }).map((line) => line.text)).toEqual([
      'pull request 7 opened',
      'no trigger `pull_request`',
    ]);
  });

  it('says why nothing at all followed', () => {
    expect(linesOf({ note: 'a ping' })).toEqual([{ text: 'a ping' }]);
    expect(linesOf({ problem: 'the remote does not answer' })).toEqual([
      { text: 'the remote does not answer', problem: true },
    ]);
    expect(linesOf({ events: [{ why: 'known already' }], note: '' })).toEqual([{ text: 'known already' }]);
  });
});

describe('commitOf', () => {
  it('is only of a delivery that waits', () => {
    expect(commitOf({ state: 'waiting', result: { commit: 'abc' } })).toBe('abc');
    expect(commitOf({ state: 'done', result: { commit: 'abc' } })).toBeUndefined();
    expect(commitOf({ state: 'waiting', result: { commit: 7 } })).toBeUndefined();
  });
});
