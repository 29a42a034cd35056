/** What part of the graph is seen: all of it until somebody moves it, and always the step that was chosen. */
import { getViewportForBounds, useReactFlow, useStoreApi } from '@xyflow/react';
import { useCallback, useEffect, useMemo, useRef } from 'react';
import { extent, type Scene } from './scene';

const MARGIN = 4; // px
const PADDING = 0.06; // of the room
const READABLE = 0.8; // zoom at which a chosen step is shown when all of the graph is too small
const FAR = 0.45;

export function useCamera(scene: Scene, selected: string | undefined) {
  const flow = useReactFlow();
  const store = useStoreApi();
  const moved = useRef(false);
  const shown = useRef(selected); // what is chosen from the beginning is seen with all of the graph

  const { boxes, frames, ways } = scene; // which stay the same while states change
  const all = useMemo(() => extent({ boxes, frames, ways }), [boxes, frames, ways]);
  const showAll = useCallback(() => {
    moved.current = false;
    const { width, height, minZoom } = store.getState();
    if (width > 0 && height > 0) void flow.setViewport(getViewportForBounds(all, width, height, minZoom, 1, PADDING));
  }, [flow, store, all]);

  const show = useCallback(
    (key: string) => {
      const box = scene.boxes.get(key);
      if (!box) return;
      const { width, height, transform } = store.getState();
      const [x, y, zoom] = transform;
      const left = box.x * zoom + x;
      const top = box.y * zoom + y;
      const inside =
        left >= MARGIN &&
        top >= MARGIN &&
        left + box.width * zoom <= width - MARGIN &&
        top + box.height * zoom <= height - MARGIN;
      if (inside && zoom >= FAR) return;
      moved.current = true;
      const centre = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
      void flow.setCenter(centre.x, centre.y, { zoom: Math.max(zoom, zoom < FAR ? READABLE : zoom), duration: 200 });
    },
    [scene.boxes, flow, store],
  );

  // The room changes with the window and the splitter; what somebody looks at stays where it is.
  useEffect(() => {
    let size = '';
    return store.subscribe(({ width, height }) => {
      if (size === `${width} ${height}`) return;
      size = `${width} ${height}`;
      if (!moved.current) showAll();
    });
  }, [store, showAll]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: another layout is looked at from the beginning
  useEffect(() => {
    const frame = requestAnimationFrame(showAll);
    return () => cancelAnimationFrame(frame);
  }, [scene.boxes, showAll]);

  useEffect(() => {
    if (shown.current === selected) return;
    shown.current = selected;
    if (selected !== undefined) show(selected);
  }, [selected, show]);

  return useMemo(() => ({ showAll, show, taken: () => (moved.current = true) }), [showAll, show]);
}
