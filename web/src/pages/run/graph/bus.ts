/** Where many steps lead to one when they fail ("tell them"), their edges share a line below the graph instead of crossing it. */
import type { EdgeKind } from './model';

export interface Edge {
  id: string;
  source: string;
  target: string;
  kind: EdgeKind;
}

const MANY = 6;

/** Return the edges that go by such a line, with its number; the one from the last source stays, so that the target comes after all. */
export function busOf(edges: Edge[]): Map<string, number> {
  const into = new Map<string, Edge[]>();
  for (const edge of edges) {
    if (edge.kind !== 'success') into.set(edge.target, [...(into.get(edge.target) ?? []), edge]);
  }
  const crowded = [...into.values()].filter((group) => group.length > MANY);
  if (crowded.length === 0) return new Map();
  const depth = depths(edges);
  const lines = new Map<string, number>();
  for (const [line, group] of crowded.entries()) {
    const last = group.reduce((a, b) => ((depth.get(b.source) ?? 0) > (depth.get(a.source) ?? 0) ? b : a));
    for (const edge of group) if (edge !== last) lines.set(edge.id, line);
  }
  return lines;
}

/** The longest way to each end of an edge, in edges. */
export function depths(edges: Pick<Edge, 'source' | 'target'>[]): Map<string, number> {
  const next = new Map<string, string[]>();
  const open = new Map<string, number>(); // edges into it whose source is not done
  for (const { source, target } of edges) {
    next.set(source, [...(next.get(source) ?? []), target]);
    open.set(source, open.get(source) ?? 0);
    open.set(target, (open.get(target) ?? 0) + 1);
  }
  const depth = new Map([...open.keys()].map((key) => [key, 0]));
  const ready = [...open].filter(([, count]) => count === 0).map(([key]) => key);
  for (const key of ready) {
    for (const target of next.get(key) ?? []) {
      depth.set(target, Math.max(depth.get(target) ?? 0, (depth.get(key) ?? 0) + 1));
      const left = (open.get(target) ?? 1) - 1;
      open.set(target, left);
      if (left === 0) ready.push(target);
    }
  }
  return depth;
}
