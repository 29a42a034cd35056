import { describe, expect, it } from 'vitest';
import { actionWords, detailWords, objectWords, runOf } from './audit-words';

describe('an entry of the audit log', () => {
  const entry = { actor: 'ada', detail: {} };

  it('is told in words', () => {
    expect(actionWords('secret.put')).toBe('set the secret');
    expect(objectWords({ ...entry, action: 'secret.put', object: 'secret:TOKEN' })).toBe('TOKEN');
  });

  it('of an action that is not known is told as the server has it', () => {
    expect(actionWords('moon.land')).toBe('moon.land');
    expect(objectWords({ ...entry, action: 'moon.land', object: 'moon:1' })).toBe('moon:1');
  });

  it('names whom one logged in as only when it was somebody else', () => {
    expect(objectWords({ ...entry, action: 'login.accept', object: 'user:ada' })).toBe('');
    expect(objectWords({ ...entry, action: 'login.accept', object: 'user:bob' })).toBe('bob');
  });

  it('calls tokens by their names', () => {
    const token = { ...entry, action: 'token.create', object: 'token:01M', detail: { name: 'bot' } };
    expect(objectWords(token)).toBe('bot');
  });

  it('leads to the run that it is about', () => {
    expect(runOf({ object: 'run:01M8DKS6RFZVZGC4JQJCMYJKS9' })).toBe('01M8DKS6RFZVZGC4JQJCMYJKS9');
    expect(runOf({ object: 'user:run:1' })).toBeUndefined();
  });

  it('has details of every kind', () => {
    expect(detailWords({ branch: 'main', number: 4, steps: ['a', 'b'], scope: { a: 1 } })).toEqual([
      ['branch', 'main'],
      ['number', '4'],
      ['steps', 'a, b'],
      ['scope', '{"a":1}'],
    ]);
  });
});
