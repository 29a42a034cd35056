import { describe, expect, it } from 'vitest';
import { type Problem, ProblemError } from '@/api';
import { complaints } from './forms';

function problem(...errors: Problem['errors']) {
  return new ProblemError({
    type: 'urn:flow:error:invalid_request',
    title: 'The request is not valid',
    status: 422,
    code: 'invalid_request',
    detail: 'all of it',
    hint: '',
    findings: [],
    errors,
  });
}

describe('complaints', () => {
  it('puts what names a field at the field', () => {
    const found = complaints(problem({ where: 'body.settings.poll', message: 'too small' }), ['poll', 'settings']);
    expect(found).toEqual({ fields: { poll: 'too small' }, rest: undefined });
  });

  it('finds the field of an element of a list', () => {
    expect(complaints(problem({ where: 'body.scopes.0', message: 'unknown' }), ['scopes']).fields).toEqual({
      scopes: 'unknown',
    });
  });

  it('says the rest above the buttons, without what stands at fields', () => {
    const error = problem({ where: 'body.days', message: 'too long' }, { where: 'path.project', message: 'too odd' });
    const found = complaints(error, ['days']);
    expect(found.fields).toEqual({ days: 'too long' });
    expect(found.rest?.detail).toBe('path.project: too odd');
  });

  it('gives the hint of what is wrong with one field there, of several nowhere', () => {
    const about = { where: 'path.name', message: 'taken' };
    const one = problem(about);
    one.problem.hint = 'choose another one';
    expect(complaints(one, ['name', 'url'])).toEqual({
      fields: { name: 'taken: choose another one' },
      rest: undefined,
    });
    const two = problem(about, { where: 'body.url', message: 'odd' });
    two.problem.hint = 'choose another one';
    expect(complaints(two, ['name', 'url']).fields).toEqual({ name: 'taken', url: 'odd' });
  });

  it('says what a use case refuses as a whole', () => {
    expect(complaints(problem(), ['name'])).toMatchObject({ fields: {}, rest: { detail: 'all of it' } });
  });
});
