import '@xyflow/react/dist/base.css';
import { useElementSize } from '@mantine/hooks';
import { MiniMap, type Node, ReactFlow, ReactFlowProvider, useStoreApi, ViewportPortal } from '@xyflow/react';
import { type KeyboardEvent, type RefObject, useCallback, useEffect, useMemo, useRef } from 'react';
import { colourOf } from '@/ui/states';
import { useLasting } from '@/ui/time';
import { Backdrop } from './backdrop';
import { Conditions } from './conditions';
import { Controls } from './controls';
import type { StepGraphProps } from './graph';
import classes from './graph.module.css';
import type { Size } from './layout';
import type { GraphStep } from './model';
import { type Scene, stepTowards, useScene } from './scene';
import { StepNode, StepsContext } from './step-node';
import { useCamera } from './use-camera';

const FAR = 0.45; // zoom below which text could not be read anyway
const WITH_MAP = 40; // steps
const MAP = { width: 132, height: 92 };
const NODE_TYPES = { step: StepNode };

export default function Canvas(props: StepGraphProps) {
  const { ref, width, height } = useElementSize();
  return (
    <div ref={ref} className={classes.room}>
      {width > 0 && <Room {...props} room={{ width, height }} />}
    </div>
  );
}

function Room({ room, ...props }: StepGraphProps & { room: Size }) {
  const scene = useScene(props.graph, room);
  const slow = useLasting(!scene, 400);
  if (scene) {
    return (
      <ReactFlowProvider>
        <Flow {...props} scene={scene} />
      </ReactFlowProvider>
    );
  }
  return slow ? (
    <p role="status" className={classes.slow}>
      Laying out {props.graph.steps.length} steps
    </p>
  ) : null;
}

// The graph is looked at and gone through by our own keys; nothing in it is moved, joined or taken away.
const FIXED = {
  nodesDraggable: false,
  nodesConnectable: false,
  nodesFocusable: false,
  elementsSelectable: false,
  disableKeyboardA11y: true,
  deleteKeyCode: null,
  selectionKeyCode: null,
  multiSelectionKeyCode: null,
  panActivationKeyCode: null,
  zoomOnDoubleClick: false,
} as const;

function Flow({ graph, selected, onSelect, scene }: StepGraphProps & { scene: Scene }) {
  const area = useRef<HTMLDivElement>(null);
  const camera = useCamera(scene, selected);
  useFar(area);
  const nodes = useMemo(() => nodesOf(scene.boxes), [scene.boxes]);
  const steps = useMemo(() => new Map(graph.steps.map((step) => [step.key, step])), [graph.steps]);
  const frames = useMemo(() => new Set(scene.frames.map(({ unit }) => unit.id)), [scene.frames]);
  const first = selected ?? graph.steps[0]?.key;
  const context = useMemo(() => ({ steps, frames, selected, entry: first }), [steps, frames, selected, first]);
  const byArrows = (event: KeyboardEvent) => {
    const from = (event.target as HTMLElement).closest<HTMLElement>('[data-step]')?.dataset.step;
    const to = from === undefined ? undefined : stepTowards(scene.boxes, from, event.key);
    if (to === undefined) return;
    event.preventDefault();
    area.current?.querySelector<HTMLElement>(`[data-step="${CSS.escape(to)}"]`)?.focus({ preventScroll: true });
    camera.show(to);
  };
  const moving = (moves: boolean) => area.current?.toggleAttribute('data-moving', moves); // no state: nothing is to be drawn for it
  return (
    <StepsContext value={context}>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: arrows go from one button inside to another one */}
      <div ref={area} className={classes.room} onKeyDown={byArrows}>
        <ReactFlow
          {...FIXED}
          nodes={nodes}
          nodeTypes={NODE_TYPES}
          onNodeClick={(_, node) => onSelect?.(node.id)}
          onPaneClick={() => onSelect?.(undefined)}
          onMoveStart={(event) => {
            if (event) camera.taken();
            moving(true);
          }}
          onMoveEnd={() => moving(false)}
          minZoom={0.05}
          maxZoom={1.6}
        >
          <ViewportPortal>
            <Backdrop scene={scene} />
            <Conditions scene={scene} />
          </ViewportPortal>
          <Controls onShowAll={camera.showAll} />
          {graph.steps.length > WITH_MAP && <WholeGraph steps={steps} />}
        </ReactFlow>
      </div>
    </StepsContext>
  );
}

function WholeGraph({ steps }: { steps: ReadonlyMap<string, GraphStep> }) {
  const colour = useCallback(({ id }: Node) => colourOf(steps.get(id)?.look ?? 'pending'), [steps]);
  return (
    <MiniMap
      pannable
      zoomable
      ariaLabel="The whole graph"
      className={classes.map}
      style={MAP}
      bgColor="var(--panel)"
      maskColor="color-mix(in srgb, var(--page) 70%, transparent)"
      nodeBorderRadius={12}
      nodeColor={colour}
    />
  );
}

/** Mark the area while the graph is seen from far away. By the document alone: 300 steps are not to be rendered for it. */
function useFar(area: RefObject<HTMLElement | null>) {
  const store = useStoreApi();
  useEffect(() => {
    const mark = () => area.current?.toggleAttribute('data-far', store.getState().transform[2] < FAR);
    mark();
    return store.subscribe(mark);
  }, [area, store]);
}

/** States are not in it, so that it stays the same for as long as the layout does: see StepsContext. */
function nodesOf(boxes: Scene['boxes']): Node[] {
  return [...boxes].map(([id, { x, y, width, height }]) => ({
    id,
    type: 'step',
    position: { x, y },
    width,
    height,
    data: {},
  }));
}
