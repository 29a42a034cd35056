/** Where units and edges of a graph are drawn. Pure; computed once for a shape, not for each event. */
import { type EdgeLabel, Graph, type GraphLabel, layout, type NodeLabel } from '@dagrejs/dagre';
import { busOf, type Edge } from './bus';
import type { EdgeKind } from './model';

export type Direction = 'right' | 'down';

export interface Point {
  x: number;
  y: number;
}

export interface Size {
  width: number;
  height: number;
}

/** What the layout depends on: sizes of units and which are connected. */
export interface Shape {
  direction: Direction;
  units: ({ id: string } & Size)[];
  edges: Edge[];
}

/** Upper left corners of units, and the points by which edges go, from border to border. */
export interface Placing {
  units: Record<string, Point>;
  edges: Record<string, Point[]>;
}

type Box = Point & Size; // x, y: the centre, as dagre gives it
interface Column {
  centre: number;
  half: number;
}

/** Where along the side of a unit edges of each kind leave, so that they can be told apart from the first pixel on. */
const PORTS: Record<EdgeKind, number> = { always: 0.22, success: 0.5, fail: 0.78 };
const BUS = 22; // from the graph to the lines below it, and between these

export function place({ direction, units, edges }: Shape): Placing {
  const graph = new Graph({ multigraph: true });
  graph.setGraph({
    rankdir: direction === 'right' ? 'LR' : 'TB',
    nodesep: direction === 'right' ? 20 : 24,
    edgesep: 14,
    ranksep: direction === 'right' ? 54 : 48,
    ranker: early,
  });
  for (const { id, width, height } of units) graph.setNode(id, { width, height });
  const bus = busOf(edges);
  for (const { id, source, target, kind } of edges) {
    // What happens when all goes well is kept straight; ways of failures go around it.
    if (!bus.has(id)) graph.setEdge(source, target, { weight: kind === 'success' ? 3 : 1 }, id);
  }
  layout(graph);
  const box = (id: string) => graph.node(id) as Box;
  const boxes = units.map(({ id }) => box(id));
  const ways = new Ways(boxes, direction);
  return {
    units: Object.fromEntries(units.map(({ id }) => [id, corner(box(id))])),
    edges: Object.fromEntries(
      edges.map(({ id, source, target, kind }) => {
        const line = bus.get(id);
        if (line !== undefined) return [id, ways.below(box(source), box(target), kind, line)];
        const bends = (graph.edge(source, target, id) as { points: Point[] }).points.slice(1, -1);
        return [id, ways.between(box(source), box(target), kind, bends)];
      }),
    ),
  };
}

/** Every unit stands as early as it may begin: columns then are what can happen at the same time. Quicker than a tight ranking, too. */
function early(graph: Graph<GraphLabel, NodeLabel, EdgeLabel>) {
  const rank = (node: string): number => {
    const label = graph.node(node);
    label.rank ??= Math.max(
      0,
      ...(graph.inEdges(node) ?? []).map((edge) => rank(edge.v) + (graph.edge(edge).minlen ?? 1)),
    );
    return label.rank;
  };
  for (const node of graph.nodes()) rank(node);
}

const corner = ({ x, y, width, height }: Box): Point => ({ x: x - width / 2, y: y - height / 2 });
const turn = ({ x, y }: Point): Point => ({ x: y, y: x });

/** The ways of edges. All is computed as for graphs that go to the right; for the others x and y change places. */
class Ways {
  readonly #down: boolean;
  readonly #columns: Column[];
  readonly #bottom: number;

  constructor(boxes: Box[], direction: Direction) {
    this.#down = direction === 'down';
    const flat = boxes.map((box) => this.#flat(box));
    const columns = new Map<number, number>();
    for (const { x, width } of flat) columns.set(Math.round(x), Math.max(columns.get(Math.round(x)) ?? 0, width / 2));
    this.#columns = [...columns].map(([centre, half]) => ({ centre, half }));
    this.#bottom = Math.max(0, ...flat.map(({ y, height }) => y + height / 2));
  }

  /** From a port to the middle of the target; straight through the columns in between, bent in the gaps. */
  between(source: Box, target: Box, kind: EdgeKind, bends: Point[]): Point[] {
    const points = [this.#start(source, kind)];
    for (const bend of bends.map((point) => (this.#down ? turn(point) : point))) {
      const column = this.#columns.find(({ centre }) => Math.abs(centre - bend.x) < 2);
      if (!column) continue;
      points.push({ x: column.centre - column.half, y: bend.y }, { x: column.centre + column.half, y: bend.y });
    }
    return this.#told([...points, this.#end(target)]);
  }

  /** Down from the port in the gap after its column, along a line below the graph, up before the target. */
  below(source: Box, target: Box, kind: EdgeKind, line: number): Point[] {
    const [start, end] = [this.#start(source, kind), this.#end(target)];
    const y = this.#bottom + BUS * (line + 1);
    const gap = 44;
    return this.#told([start, { x: this.#right(source) + gap, y }, { x: end.x - gap, y }, end]);
  }

  #right(box: Box): number {
    const flat = this.#flat(box);
    const column = this.#columns.find(({ centre }) => Math.abs(centre - flat.x) < 2);
    return column ? column.centre + column.half : flat.x + flat.width / 2;
  }

  #start(source: Box, kind: EdgeKind): Point {
    const { x, y, width, height } = this.#flat(source);
    return { x: x + width / 2, y: y + (PORTS[kind] - 0.5) * height };
  }

  #end(target: Box): Point {
    const { x, y, width } = this.#flat(target);
    return { x: x - width / 2, y };
  }

  #flat(box: Box): Box {
    return this.#down ? { ...turn(box), width: box.height, height: box.width } : box;
  }

  #told(points: Point[]): Point[] {
    return this.#down ? points.map(turn) : points;
  }
}

/** The path of SVG through points: it leaves and enters each of them in the direction of the graph. */
export function curve(points: Point[], direction: Direction): string {
  const [first, ...rest] = points;
  if (!first) return '';
  let path = `M${first.x} ${first.y}`;
  let from = first;
  for (const to of rest) {
    if (direction === 'right') {
      const middle = (from.x + to.x) / 2;
      path += ` C${middle} ${from.y} ${middle} ${to.y} ${to.x} ${to.y}`;
    } else {
      const middle = (from.y + to.y) / 2;
      path += ` C${from.x} ${middle} ${to.x} ${middle} ${to.x} ${to.y}`;
    }
    from = to;
  }
  return path;
}
