import { describe, expect, it } from 'vitest';
import { curve, type Placing, type Point, place, type Shape } from './layout';
import { edgesOf, type Graph, unitsOf } from './model';
import { edge, step } from './sample';
import { unitSize } from './sizes';

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
});

describe('the layout of very many steps', () => {
  it('has no overlaps, in both directions', { timeout: 60_000 }, () => {
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
});

describe('an edge', () => {
  it('begins and ends where its points do', () => {
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
