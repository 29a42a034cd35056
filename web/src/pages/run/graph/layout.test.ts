import { describe, expect, it } from 'vitest';
import { curve, type Placing, type Point, place, type Shape } from './layout';
import { edgesOf, type Graph, type GraphEdge, type GraphStep, graphOfPipeline, instanceName, unitsOf } from './model';
import { unitSize, widthFor } from './sizes';

function shapeOf(graph: Graph, direction: 'right' | 'down' = 'right'): Shape {
  return {
    direction,
    units: unitsOf(graph.steps).map((unit) => {
      const { width, height } = unitSize(unit, 212);
      return { id: unit.id, width, height };
    }),
    edges: edgesOf(graph).map(({ id, source, target, kind }) => ({ id, source, target, kind })),
  };
}

const step = (key: string, name = key): GraphStep => ({ key, name });
const edge = (source: string, target: string, kind: GraphEdge['kind'] = 'success'): GraphEdge => ({
  source,
  target,
  kind,
});

/** Thirty ranks of ten steps; each one leads to two of the next rank, and all of them fail into one that tells of it. */
function large(): Graph {
  const steps = Array.from({ length: 300 }, (_, place) => step(`s${place}`));
  const edges = steps.flatMap((_, place) =>
    place < 290
      ? [
          edge(`s${place}`, `s${place + 10}`),
          edge(`s${place}`, `s${Math.min(299, place + 11 - (place % 10 === 9 ? 10 : 0))}`),
        ]
      : [],
  );
  return { steps: [...steps, step('tell')], edges: [...edges, ...steps.map((s) => edge(s.key, 'tell', 'fail'))] };
}

function overlaps(placing: Placing, shape: Shape): string[] {
  const boxes = shape.units.map((unit) => ({ ...unit, ...(placing.units[unit.id] as Point) }));
  const found: string[] = [];
  for (const [place, a] of boxes.entries()) {
    for (const b of boxes.slice(place + 1)) {
      const apart = a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
      if (!apart) found.push(`${a.id} ${b.id}`);
    }
  }
  return found;
}

describe('the layout', () => {
  const diamond: Graph = {
    steps: ['a', 'b', 'c', 'd', 'mail'].map((key) => step(key)),
    edges: [
      edge('a', 'b'),
      edge('a', 'c'),
      edge('b', 'd'),
      edge('c', 'd'),
      edge('a', 'mail', 'fail'),
      edge('d', 'mail', 'fail'),
    ],
  };

  it('goes to the right, or down', () => {
    for (const direction of ['right', 'down'] as const) {
      const { units } = place(shapeOf(diamond, direction));
      const along = (key: string) => (direction === 'right' ? units[key]?.x : units[key]?.y) as number;
      expect(along('a')).toBeLessThan(along('b'));
      expect(along('b')).toBe(along('c'));
      expect(along('c')).toBeLessThan(along('d'));
      expect(along('d')).toBeLessThan(along('mail'));
    }
  });

  it('leads edges around the steps between their ends', () => {
    const shape = shapeOf(diamond);
    const { units, edges } = place(shape);
    const long = edgesOf(diamond).find((each) => each.source === 'a' && each.target === 'mail');
    const points = edges[long?.id ?? ''] as Point[];
    expect(points.length).toBeGreaterThan(2);
    for (const { id, width, height } of shape.units) {
      const corner = units[id] as Point;
      const inside = points
        .slice(1, -1)
        .filter(({ x, y }) => x > corner.x && x < corner.x + width && y > corner.y && y < corner.y + height);
      expect(inside, `the edge runs through ${id}`).toEqual([]);
    }
  });

  it('puts steps as early as they may begin', () => {
    const graph: Graph = {
      steps: ['a', 'b', 'c', 'early'].map((key) => step(key)),
      edges: [edge('a', 'b'), edge('b', 'c'), edge('a', 'early'), edge('early', 'c')],
    };
    const longer: Graph = {
      steps: [...graph.steps, step('d')],
      edges: [...graph.edges, edge('c', 'd'), edge('early', 'd')],
    };
    const { units } = place(shapeOf(longer));
    expect(units.early?.x).toBe(units.b?.x);
    const { units: alone } = place(shapeOf({ steps: [...graph.steps, step('alone')], edges: graph.edges }));
    expect(alone.alone?.x).toBe(alone.a?.x);
  });

  it('lets edges of each kind leave by a port of their own', () => {
    const both: Graph = { steps: [step('a'), step('b')], edges: [edge('a', 'b'), edge('a', 'b', 'fail')] };
    const [one, other] = Object.values(place(shapeOf(both)).edges);
    expect(one?.[0]).not.toEqual(other?.[0]);
  });

  it('places 300 steps without an overlap, in both directions', { timeout: 60_000 }, () => {
    for (const direction of ['right', 'down'] as const) {
      const shape = shapeOf(large(), direction);
      const placing = place(shape);
      expect(Object.keys(placing.units)).toHaveLength(301);
      expect(Object.keys(placing.edges)).toHaveLength(shape.edges.length);
      expect(overlaps(placing, shape)).toEqual([]);
    }
  });

  it('leads crowds of failures along a line below the graph', { timeout: 60_000 }, () => {
    const shape = shapeOf(large());
    const { units, edges } = place(shape);
    const bottom = Math.max(...shape.units.map(({ id, height }) => (units[id] as Point).y + height));
    const fails = shape.edges.filter(({ kind }) => kind === 'fail').map(({ id }) => edges[id] as Point[]);
    expect(fails.filter((points) => points.some(({ y }) => y > bottom))).toHaveLength(299);
  });

  it('draws paths that begin and end where the points do', () => {
    const path = curve(
      [
        { x: 0, y: 0 },
        { x: 10, y: 20 },
        { x: 30, y: 20 },
      ],
      'right',
    );
    expect(path).toBe('M0 0 C5 0 5 20 10 20 C20 20 20 20 30 20');
    expect(curve([], 'down')).toBe('');
  });
});

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

  it('come from a pipeline that does not run, too', () => {
    const one = {
      key: 'a',
      name: 'a',
      background: true,
      allow_failure: false,
      environment: null,
      cached: false,
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
