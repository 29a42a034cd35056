import { describe, expect, it } from 'vitest';
import { edgesOf, type Graph, type GraphStep, graphOfPipeline, instanceName, unitsOf } from './model';
import { edge, step } from './sample';
import { unitSize, widthFor } from './sizes';

describe('units', () => {
  const matrix: Graph = {
    steps: [step('build'), step('test-a', 'test'), step('test-b', 'test'), step('deploy')],
    edges: [
      { ...edge('build', 'test-a'), state: 'taken' },
      { ...edge('build', 'test-b'), state: 'taken' },
      { ...edge('test-a', 'deploy'), state: 'dead' },
      { ...edge('test-b', 'deploy'), state: 'taken' },
      { ...edge('test-b', 'deploy'), condition: 'branch == "main"', state: 'dead' },
    ],
  };

  it('are the instances of a matrix together', () => {
    expect(unitsOf(matrix.steps).map(({ id, members }) => [id, members.length])).toEqual([
      ['build', 1],
      ['test', 2],
      ['deploy', 1],
    ]);
    expect(matrix.steps.map(instanceName)).toEqual(['build', 'a', 'b', 'deploy']);
  });

  it('have one edge for the same ends, kind and condition: taken when one of them is', () => {
    expect(edgesOf(matrix).map(({ source, target, state, condition }) => [source, target, state, condition])).toEqual([
      ['build', 'test', 'taken', undefined],
      ['test', 'deploy', 'taken', undefined],
      ['test', 'deploy', 'dead', 'branch == "main"'],
    ]);
  });

  it('show as moving what leads to a running step', () => {
    const steps: GraphStep[] = [step('a'), { ...step('b'), look: 'running' }, { ...step('c'), look: 'pending' }];
    const taken = { state: 'taken' } as const;
    const edges = [
      { ...edge('a', 'b'), ...taken },
      { ...edge('a', 'c'), ...taken },
      { ...edge('c', 'b'), state: 'dead' as const },
    ];
    expect(edgesOf({ steps, edges }).map(({ moving }) => moving)).toEqual([true, false, false]);
  });
});

describe('sizes of units', () => {
  it('keep large matrices compact: members inside, in columns', () => {
    const unit = { id: 'm', members: Array.from({ length: 14 }, (_, place) => step(`m-${place}`, 'm')) };
    const { width, height, members } = unitSize(unit, 212);
    expect(new Set(members.map(({ x }) => x)).size).toBe(3);
    for (const member of members) {
      expect(member.x + member.width).toBeLessThan(width);
      expect(member.y + member.height).toBeLessThan(height);
    }
  });

  it('are as wide as the longest name needs, within limits', () => {
    const width = (name: string) => widthFor(unitsOf([step('a'), step(name)]));
    expect(width('b')).toBe(150);
    expect(width('integration')).toBeGreaterThan(150);
    expect(width('x'.repeat(200))).toBe(224);
  });
});

describe('a graph', () => {
  it('comes from a pipeline that does not run, too', () => {
    const one = {
      key: 'a',
      name: 'a',
      background: true,
      allow_failure: false,
      environment: null,
      cached: false,
      approve: [],
      secrets: [],
      line: 1,
    };
    const graph = graphOfPipeline({
      steps: [one],
      edges: [{ source: 'a', target: 'b', kind: 'always', condition: null }],
    });
    expect(graph.steps[0]).toMatchObject({ key: 'a', background: true });
    expect(graph.steps[0]?.look).toBeUndefined();
    expect(graph.edges[0]?.kind).toBe('always');
  });
});
