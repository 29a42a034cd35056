/** Two panes and a bar between them that is moved by mouse, finger or keys; where it stood is remembered. */
import { useLocalStorage } from '@mantine/hooks';
import { type KeyboardEvent, type PointerEvent, type ReactNode, useRef } from 'react';
import classes from './split.module.css';

export type Dock = 'below' | 'beside';

interface SplitProps {
  /** Where the second pane is. On narrow screens always below, and the page scrolls. */
  dock: Dock;
  first: ReactNode;
  second: ReactNode;
}

const LEAST = 15; // percent
const STEPS: Record<string, number> = {
  ArrowUp: -2,
  ArrowLeft: -2,
  ArrowDown: 2,
  ArrowRight: 2,
  PageUp: -10,
  PageDown: 10,
};

export function Split({ dock, first, second }: SplitProps) {
  const area = useRef<HTMLDivElement>(null);
  const [share, setShare] = useLocalStorage({ key: `flow.run.${dock}`, defaultValue: dock === 'below' ? 42 : 46 });
  const put = (wanted: number) => setShare(Math.round(Math.min(100 - LEAST, Math.max(LEAST, wanted)) * 10) / 10);
  const drag = (event: PointerEvent<HTMLDivElement>) => {
    const box = area.current?.getBoundingClientRect();
    if (!box || !event.currentTarget.hasPointerCapture(event.pointerId)) return;
    put(
      dock === 'below'
        ? ((event.clientY - box.top) / box.height) * 100
        : ((event.clientX - box.left) / box.width) * 100,
    );
  };
  const byKeys = (event: KeyboardEvent) => {
    const step = STEPS[event.key];
    if (step === undefined) return;
    event.preventDefault();
    put(share + step);
  };
  return (
    <div ref={area} className={classes.split} data-dock={dock} style={{ '--share': `${share}%` }}>
      <div className={classes.first}>{first}</div>
      {/* biome-ignore lint/a11y/useSemanticElements: a rule that can be moved has no element of its own */}
      <div
        className={classes.bar}
        role="separator"
        tabIndex={0}
        aria-label="Size of the panes"
        aria-orientation={dock === 'below' ? 'horizontal' : 'vertical'}
        aria-valuemin={LEAST}
        aria-valuemax={100 - LEAST}
        aria-valuenow={Math.round(share)}
        onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
        onPointerMove={drag}
        onKeyDown={byKeys}
        onDoubleClick={() => put(50)}
      />
      <div className={classes.second}>{second}</div>
    </div>
  );
}
