/** Steps and edges as the tests of graphs need them. */
import type { GraphEdge, GraphStep } from './model';

export const step = (key: string, name = key): GraphStep => ({ key, name });
export const edge = (source: string, target: string, kind: GraphEdge['kind'] = 'success'): GraphEdge => ({
  source,
  target,
  kind,
});
