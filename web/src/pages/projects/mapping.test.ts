import { describe, expect, it } from 'vitest';
import { kindOf } from './forges';
import { inputsOf, linesOf, mappingOf } from './mapping';

describe('inputsOf', () => {
  it('reads what linesOf writes', () => {
    const inputs = { target: 'deploy.to.0.name', version: 'v' };
    expect(inputsOf(linesOf(inputs))).toEqual(inputs);
  });

  it('says which line tells nothing', () => {
    expect(inputsOf('a = b\n\nwhat')).toContain('“what”');
    expect(inputsOf('a =')).toContain('“a =”');
  });
});

it('leaves out of a mapping what is empty', () => {
  expect(mappingOf({ inputs: ' ', branch: ' ref ', commit: '' })).toEqual({ branch: 'ref' });
});

it.each([
  ['https://github.com/a/b', 'github'],
  ['git@gitlab.example.org:a/b.git', 'gitlab'],
  ['ssh://git@bitbucket.org/a/b', 'bitbucket'],
  ['https://user@codeberg.org/a/b', 'gitea'],
  ['/srv/git/a', 'github'],
])('%s looks like %s', (url, kind) => {
  expect(kindOf(url)).toBe(kind);
});
