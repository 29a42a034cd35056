import { describe, expect, it } from 'vitest';
import type { Input, Problem } from '@/api';
import { bodyOf, EMPTY, errorsOf } from './start-form';

const input = (name: string, type: Input['type'], value: Input['default'] = null) =>
  ({ name, type, options: [], default: value, description: '' }) as Input;

describe('the body that starts a run', () => {
  it('leaves defaults to the server', () => {
    expect(
      bodyOf(EMPTY, { inputs: [input('target', 'string', 'qa'), input('dry', 'boolean', true)], variables: {} }),
    ).toEqual({
      ref: '',
      inputs: {},
      variables: {},
      fresh: false,
    });
  });
  it('says no for a box without default that was not ticked', () => {
    expect(bodyOf(EMPTY, { inputs: [input('dry', 'boolean')], variables: {} }).inputs).toEqual({ dry: 'false' });
  });
  it('keeps what was emptied, and drops inputs that this ref has not', () => {
    const filled = { ...EMPTY, ref: 'v1', inputs: { target: '', gone: 'x' } };
    expect(bodyOf(filled, { inputs: [input('target', 'string', 'qa')], variables: {} }).inputs).toEqual({ target: '' });
  });
  it('has variables of the pipeline that were changed, and new ones', () => {
    const variables = { values: { B: '2' }, more: [{ id: 1, name: 'A', value: '1' }] };
    expect(bodyOf({ ...EMPTY, variables }, { inputs: [], variables: { B: '1', C: '3' } }).variables).toEqual({
      A: '1',
      B: '2',
    });
  });
});

describe('what the server says against it', () => {
  it('stands at the field that is meant', () => {
    const errors = [
      { where: 'body.inputs.target', message: 'no' },
      { where: 'body.inputs.target', message: 'really not' },
      { where: 'body.variables.A B', message: 'no such name' },
      { where: 'body.ref', message: 'too long' },
    ];
    expect(errorsOf({ errors } as Problem)).toEqual({
      inputs: { target: 'no really not' },
      variables: { 'A B': 'no such name' },
      others: ['body.ref: too long'],
    });
  });
});
