/** What is behind the steps: edges, and the frames around the instances of a matrix. */
import { memo } from 'react';
import classes from './backdrop.module.css';
import { curve, type Direction, type Point } from './layout';
import type { UnitEdge } from './model';
import type { Frame, Scene } from './scene';

const MANY = 150; // edges

export const Backdrop = memo(function Backdrop({ scene }: { scene: Scene }) {
  const { direction, frames, edges, ways } = scene;
  // What is taken lies above what is not.
  const order = { dead: 0, pending: 1, taken: 2 };
  const sorted = edges.toSorted((a, b) => order[a.state ?? 'pending'] - order[b.state ?? 'pending']);
  return (
    <svg
      className={classes.backdrop}
      data-many={edges.length > MANY || undefined}
      width={1}
      height={1}
      aria-hidden="true"
    >
      {frames.map((frame) => (
        <MatrixFrame key={frame.unit.id} frame={frame} />
      ))}
      {sorted.map((edge) => (
        <Edge key={edge.id} edge={edge} way={ways[edge.id] ?? []} direction={direction} />
      ))}
    </svg>
  );
});

function MatrixFrame({ frame: { unit, x, y, width, height } }: { frame: Frame }) {
  const skipped = unit.members.every(({ look }) => look === 'skipped');
  return (
    <g data-skipped={skipped || undefined} className={classes.frame}>
      <rect x={x} y={y} width={width} height={height} rx={12} />
      <text x={x + 12} y={y + 20}>
        {unit.id} <tspan>× {unit.members.length}</tspan>
      </text>
    </g>
  );
}

interface EdgeProps {
  edge: UnitEdge;
  way: Point[];
  direction: Direction;
}

const Edge = memo(
  function Edge({ edge, way, direction }: EdgeProps) {
    const [start, end] = [way[0], way.at(-1)];
    if (!start || !end) return null;
    const path = curve(way, direction);
    const angle = direction === 'right' ? 0 : 90;
    return (
      <g className={classes.edge} data-kind={edge.kind} data-state={edge.state ?? 'pending'}>
        <path d={path} className={classes.line} />
        {edge.moving && <path d={path} className={classes.moving} />}
        <path
          d="M-8 -4.5L0 0L-8 4.5Z"
          className={classes.arrow}
          transform={`translate(${end.x} ${end.y}) rotate(${angle})`}
        />
        <g transform={`translate(${start.x} ${start.y})`} className={classes.port}>
          <Port kind={edge.kind} />
        </g>
      </g>
    );
  },
  (a, b) =>
    a.way === b.way && a.direction === b.direction && a.edge.state === b.edge.state && a.edge.moving === b.edge.moving,
);

/** The shape at the beginning of an edge says its kind to those who do not see its colour. */
function Port({ kind }: { kind: UnitEdge['kind'] }) {
  if (kind === 'success') return <circle r={3} />;
  if (kind === 'always') return <rect x={-3} y={-3} width={6} height={6} />;
  return (
    <>
      <circle r={5} />
      <path d="M-2.2 -2.2L2.2 2.2M-2.2 2.2L2.2 -2.2" />
    </>
  );
}
