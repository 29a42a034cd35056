/** A graph with places: what is drawn, computed from what is to be shown and the room for it. */
import { useMemo } from 'react';
import type { Direction, Placing, Point, Shape, Size } from './layout';
import { edgesOf, type Graph, type Unit, type UnitEdge, unitsOf } from './model';
import { type UnitSize, unitSize, widthFor } from './sizes';
import { useLayout } from './use-layout';

const NARROW = 560; // px
const NARROW_STEP = 184; // px

export interface Frame extends Point, Size {
  unit: Unit;
}

export interface Scene {
  direction: Direction;
  /** Boxes of steps by key, in the order of the graph. */
  boxes: Map<string, Point & Size>;
  frames: Frame[];
  edges: UnitEdge[];
  ways: Placing['edges'];
}

/** To the right where there is room for it; down in tall panes, and on phones in all but flat ones. */
export function directionFor({ width, height }: Size): Direction {
  return width * (width < NARROW ? 0.6 : 1.25) < height ? 'down' : 'right';
}

/** Return what to draw; undefined while there is no layout. */
export function useScene(graph: Graph, room: Size): Scene | undefined {
  const direction = directionFor(room);
  const narrow = room.width < NARROW;
  const edges = useMemo(() => edgesOf(graph), [graph]);
  // Names and ends say what the shape is; states change all the time and do not matter for it.
  const outline = JSON.stringify([
    graph.steps.map(({ key, name }) => [key, name]),
    edges.map(({ id, source, target, kind }) => [id, source, target, kind]),
  ]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `outline` stands for the graph
  const [units, shape] = useMemo(() => {
    const all = unitsOf(graph.steps);
    const width = Math.min(widthFor(all), narrow ? NARROW_STEP : Number.POSITIVE_INFINITY);
    const sized = all.map((unit) => ({ unit, size: unitSize(unit, width) }));
    const shape: Shape = {
      direction,
      units: sized.map(({ unit: { id }, size: { width, height } }) => ({ id, width, height })),
      edges: edges.map(({ id, source, target, kind }) => ({ id, source, target, kind })),
    };
    return [sized, shape] as const;
  }, [outline, direction, narrow]);
  const placing = useLayout(shape);
  const placed = useMemo(() => placing && placeSteps(units, placing), [units, placing]);
  return useMemo(
    () => placed && placing && { ...placed, direction, edges, ways: placing.edges },
    [placed, placing, direction, edges],
  );
}

function placeSteps(units: { unit: Unit; size: UnitSize }[], placing: Placing): Pick<Scene, 'boxes' | 'frames'> {
  const boxes: Scene['boxes'] = new Map();
  const frames: Frame[] = [];
  for (const { unit, size } of units) {
    const corner = placing.units[unit.id];
    if (!corner) continue;
    if (unit.members.length > 1) frames.push({ unit, ...corner, width: size.width, height: size.height });
    for (const [place, { key }] of unit.members.entries()) {
      const within = size.members[place];
      if (within) boxes.set(key, { ...within, x: corner.x + within.x, y: corner.y + within.y });
    }
  }
  return { boxes, frames };
}

/** What all of it takes up: also the edges, of which some go around the steps. */
export function extent({ boxes, frames, ways }: Pick<Scene, 'boxes' | 'frames' | 'ways'>): Point & Size {
  const corners: Point[] = Object.values(ways).flat();
  for (const { x, y, width, height } of [...boxes.values(), ...frames]) {
    corners.push({ x, y }, { x: x + width, y: y + height });
  }
  if (corners.length === 0) return { x: 0, y: 0, width: 1, height: 1 };
  const [xs, ys] = [corners.map(({ x }) => x), corners.map(({ y }) => y)];
  const [x, y] = [Math.min(...xs), Math.min(...ys)];
  return { x, y, width: Math.max(...xs) - x, height: Math.max(...ys) - y };
}

const ARROWS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] } as const;

/** The step that one comes to from another by a key with an arrow: the nearest one in that direction. */
export function stepTowards(boxes: Scene['boxes'], from: string, key: string): string | undefined {
  const arrow = ARROWS[key as keyof typeof ARROWS];
  const start = boxes.get(from);
  if (!arrow || !start) return undefined;
  const [across, down] = arrow;
  let best: { key: string; cost: number } | undefined;
  for (const [candidate, box] of boxes) {
    const [dx, dy] = [
      box.x + box.width / 2 - start.x - start.width / 2,
      box.y + box.height / 2 - start.y - start.height / 2,
    ];
    const ahead = dx * across + dy * down;
    if (ahead <= 1) continue;
    const aside = Math.abs(dx * down) + Math.abs(dy * across);
    const cost = ahead + 2.5 * aside;
    if (!best || cost < best.cost) best = { key: candidate, cost };
  }
  return best?.key;
}
