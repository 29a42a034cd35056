/** The layout of a shape: at once when it is small, else by a worker. */
import { useEffect, useMemo, useState } from 'react';
import { type Placing, place, type Shape } from './layout';
import type { LayoutRequest } from './layout-worker';

/** Steps and edges, together, up to which dagre takes less than 50 ms. */
const AT_ONCE = 90;
const KEPT = 12;

const known = new Map<string, Placing>();
const waiting = new Map<number, (placing: Placing) => void>();
let worker: Worker | undefined;
let asked = 0;

function keep(name: string, placing: Placing): Placing {
  known.set(name, placing);
  for (const oldest of known.keys()) {
    if (known.size <= KEPT) break;
    known.delete(oldest);
  }
  return placing;
}

function placeElsewhere(shape: Shape): Promise<Placing> {
  worker ??= new Worker(new URL('./layout-worker.ts', import.meta.url), { type: 'module', name: 'flow-layout' });
  worker.onmessage = ({ data }: MessageEvent<{ id: number; placing: Placing }>) => {
    waiting.get(data.id)?.(data.placing);
    waiting.delete(data.id);
  };
  const request: LayoutRequest = { id: ++asked, shape };
  worker.postMessage(request);
  return new Promise((resolve) => waiting.set(request.id, resolve));
}

/** Return the layout, or undefined for as long as it is computed. A shape is known by its value, not by its identity. */
export function useLayout(shape: Shape): Placing | undefined {
  const name = useMemo(() => JSON.stringify(shape), [shape]);
  const [made, setMade] = useState<{ name: string; placing: Placing }>();
  const small = shape.units.length + shape.edges.length <= AT_ONCE;
  const ready = useMemo(() => {
    const kept = known.get(name);
    if (kept || !small) return kept;
    return keep(name, place(JSON.parse(name) as Shape));
  }, [name, small]);

  useEffect(() => {
    if (ready) return;
    let current = true;
    void placeElsewhere(JSON.parse(name) as Shape).then((placing) => {
      keep(name, placing);
      if (current) setMade({ name, placing });
    });
    return () => {
      current = false;
    };
  }, [name, ready]);

  return ready ?? (made?.name === name ? made.placing : undefined);
}
