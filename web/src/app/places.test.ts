import { describe, expect, it } from 'vitest';
import type { ProjectGlance } from '@/api';
import { found, placesOf, runsMeant } from './places';

const project = (name: string, ...pipelines: string[]) =>
  ({ name, pipelines: pipelines.map((each) => ({ name: each, known: each !== 'gone' })) }) as ProjectGlance;
const projects = [project('shop', 'deliver', 'gone'), project('web shop')];
const all = placesOf(projects, () => true);
const labels = (typed: string) => found(all, typed).map((place) => `${place.kind}: ${place.label}`);

describe('places', () => {
  it('are those that one may go to', () => {
    const some = placesOf(projects, (action) => action === 'audit.read').map((place) => place.to);
    expect(some).toContain('/audit');
    expect(some).not.toContain('/users');
    expect(some).not.toContain('/projects/shop/pipelines/deliver/start');
    expect(some).toContain('/projects/web%20shop');
  });
  it('have no file and no start when the pipeline is gone', () => {
    expect(labels('gone')).toEqual(['pipeline: shop / gone']);
  });
  it('are found by words in any order', () => {
    expect(labels('deliv shop')).toEqual([
      'pipeline: shop / deliver',
      'pipeline file: shop / deliver',
      'start: Run shop / deliver',
    ]);
    expect(labels('run deliver')[0]).toBe('start: Run shop / deliver');
    expect(labels('nothing')).toEqual([]);
  });
  it('begin with what was typed before they have it inside', () => {
    expect(labels('shop project')).toEqual(['project: shop', 'project: web shop']);
  });
});

describe('a number', () => {
  const runs = (typed: string, current?: string) => runsMeant(typed, projects, current).map((place) => place.label);
  it('is that of a run, of the project one is in before others', () => {
    expect(runs('12')).toEqual(['shop #12', 'web shop #12']);
    expect(runs('#12', 'web shop')).toEqual(['web shop #12', 'shop #12']);
  });
  it('may have a project before it', () => {
    expect(runs('web 12')).toEqual(['web shop #12']);
    expect(runs('web#7')).toEqual(['web shop #7']);
    expect(runs('nowhere 12')).toEqual([]);
  });
  it('is none inside of a word', () => {
    expect(runs('v12')).toEqual([]);
    expect(runs('shop')).toEqual([]);
  });
});
