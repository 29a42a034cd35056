/** A step in the graph: a button that says how it goes. */
import {
  IconBolt,
  IconBroadcast,
  IconHandStop,
  IconLifebuoy,
  IconLock,
  IconRepeat,
  IconRotateClockwise2,
  IconServer2,
} from '@tabler/icons-react';
import type { NodeProps } from '@xyflow/react';
import { createContext, memo, type ReactNode, use } from 'react';
import { colourOf, type Look, StateIcon, wordOf } from '@/ui/states';
import { useNow } from '@/ui/time';
import { clock } from './clock';
import { type GraphStep, instanceName } from './model';
import classes from './step-node.module.css';

interface Steps {
  steps: Map<string, GraphStep>;
  /** Names that have a frame: instances of a matrix. */
  frames: Set<string>;
  selected: string | undefined;
  /** The only step that the tabulator stops at; arrows lead to the others. */
  entry: string | undefined;
}

export const StepsContext = createContext<Steps>({
  steps: new Map(),
  frames: new Set(),
  selected: undefined,
  entry: undefined,
});

export function StepNode({ id }: NodeProps) {
  const { steps, frames, selected, entry } = use(StepsContext);
  const step = steps.get(id);
  return step ? (
    <StepBox step={step} instance={frames.has(step.name)} selected={selected === id} entry={entry === id} />
  ) : null;
}

interface BoxProps {
  step: GraphStep;
  instance: boolean;
  selected: boolean;
  entry: boolean;
}

const StepBox = memo(function StepBox({ step, instance, selected, entry }: BoxProps) {
  const name = instance ? instanceName(step) : step.name;
  return (
    <button
      type="button"
      className={classes.step}
      data-step={step.key}
      data-look={step.look}
      data-instance={instance || undefined}
      data-background={step.background || undefined}
      aria-current={selected || undefined}
      tabIndex={entry ? 0 : -1}
      title={step.key}
      style={step.look && { '--look': colourOf(step.look) }}
    >
      <span className={classes.first}>
        {step.look ? <StateIcon look={step.look} size={instance ? 15 : 17} /> : <span className={classes.dot} />}
        <span className={classes.name}>{name}</span>
        {instance && <Marks step={step} />}
        <Elapsed step={step} />
      </span>
      {!instance && saysMore(step) && (
        <span className={classes.second}>
          <span className={classes.word}>{step.look ? hint(step.look) : step.environment}</span>
          {step.node && (
            <span className={classes.node}>
              <IconServer2 size={12} aria-hidden />
              {step.node}
            </span>
          )}
          <Marks step={step} />
        </span>
      )}
      <span className="visually-hidden">{described(step, instance)}</span>
    </button>
  );
});

function Elapsed({ step: { startedAt, finishedAt } }: { step: GraphStep }) {
  if (startedAt === null || startedAt === undefined) return null;
  return finishedAt === null || finishedAt === undefined ? (
    <Running from={startedAt} />
  ) : (
    <span className={classes.time}>{clock(finishedAt - startedAt)}</span>
  );
}

function Running({ from }: { from: number }) {
  return <span className={classes.time}>{clock(Math.max(0, Math.floor(useNow() - from)))}</span>;
}

/** Whether there is anything for the second line. */
function saysMore(step: GraphStep): boolean {
  const { look, node, environment, attempts = 0, cached, reused, background, allowFailure, approval } = step;
  const said = look ? hint(look) : environment;
  return Boolean(said || node || attempts > 1 || cached || reused || background || allowFailure || approval);
}

/** What the icon alone would not tell at once. */
function hint(look: Look): string {
  return look === 'succeeded' ? '' : wordOf(look);
}

function Marks({ step }: { step: GraphStep }) {
  return (
    <span className={classes.marks}>
      {(step.attempts ?? 0) > 1 && (
        <Mark title={`Attempt ${step.attempts}`} icon={<IconRepeat size={12} />}>
          {step.attempts}
        </Mark>
      )}
      {step.cached && <Mark title="Result of the step cache" icon={<IconBolt size={13} />} />}
      {step.reused && <Mark title="Taken over from the run before" icon={<IconRotateClockwise2 size={13} />} />}
      {step.background && <Mark title="Stays up for the steps after it" icon={<IconBroadcast size={13} />} />}
      {step.allowFailure && <Mark title="May fail" icon={<IconLifebuoy size={13} />} />}
      {step.approval && <Mark title="Waits for approval" icon={<IconHandStop size={13} />} />}
      {step.environment && !step.look && (
        <Mark title={`Environment ${step.environment}`} icon={<IconLock size={13} />} />
      )}
    </span>
  );
}

function Mark({ title, icon, children }: { title: string; icon: ReactNode; children?: ReactNode }) {
  return (
    <span className={classes.mark} title={title} aria-hidden>
      {icon}
      {children}
    </span>
  );
}

/** What marks and places tell to those who see them. */
function described(step: GraphStep, instance: boolean): string {
  const parts = [
    instance && `of ${step.name}`,
    (step.attempts ?? 0) > 1 && `attempt ${step.attempts}`,
    step.cached && 'from the step cache',
    step.reused && 'taken over from the run before',
    step.background && 'stays up for the steps after it',
    step.allowFailure && 'may fail',
    step.environment && `environment ${step.environment}`,
  ];
  return parts.filter(Boolean).join(', ');
}
