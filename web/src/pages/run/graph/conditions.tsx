/** Marks on edges that have a condition; what it is, is told on hovering. */
import { Tooltip } from '@mantine/core';
import { memo } from 'react';
import classes from './conditions.module.css';
import type { Point } from './layout';
import type { Scene } from './scene';

export const Conditions = memo(function Conditions({ scene: { edges, ways } }: { scene: Scene }) {
  return edges.map((edge) => {
    const middle = middleOf(ways[edge.id] ?? []);
    if (!edge.condition || !middle) return null;
    return (
      <Tooltip
        key={edge.id}
        multiline
        maw={360}
        label={
          <>
            <code>{edge.condition}</code>
            <br />
            {verdict(edge.state)}
          </>
        }
      >
        <span
          className={classes.mark}
          data-state={edge.state ?? 'pending'}
          style={{ transform: `translate(-50%, -50%) translate(${middle.x}px, ${middle.y}px)` }}
        >
          if
        </span>
      </Tooltip>
    );
  });
});

function verdict(state: Scene['edges'][number]['state']): string {
  if (state === 'taken') return 'It was so: the edge is taken.';
  return state === 'dead' ? 'The edge is not taken.' : 'Decided when the step before it has ended.';
}

function middleOf(way: Point[]): Point | undefined {
  const half = way.length / 2;
  const [a, b] = [way[Math.ceil(half) - 1], way[Math.floor(half)]];
  return a && b && { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
}
