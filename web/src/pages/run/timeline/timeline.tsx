/** Each attempt as a bar over time, in the colours of what it did: where the time of a run went. */
import { Tooltip } from '@mantine/core';
import { type CSSProperties, Fragment, memo, type ReactNode, useMemo } from 'react';
import type { RunView, StepView } from '@/api';
import { lookOfStep, StateIcon } from '@/ui/states';
import { duration, useNow } from '@/ui/time';
import { clock } from '../graph/clock';
import { PHASES } from '../phases';
import { type Bar, barOf, type Piece, type Span, spanOf, ticksOf } from './bars';
import classes from './timeline.module.css';

interface TimelineProps {
  run: RunView;
  steps: StepView[];
  selected: string | undefined;
  onSelect: (key: string) => void;
}

export default function Timeline({ run, steps, selected, onSelect }: TimelineProps) {
  return (
    <div className={classes.timeline}>
      <Legend steps={steps} />
      <Scale run={run}>
        {steps.map((step) => (
          <Row key={step.key} step={step} begun={run.created_at} selected={selected === step.key} onSelect={onSelect} />
        ))}
      </Scale>
    </div>
  );
}

/**
 * Says how long the run is and what time it is, as custom properties: bars compute their place from these in the style sheet,
 * so that a second that passes draws nothing anew but the axis.
 */
function Scale({ run, children }: { run: RunView; children: ReactNode }) {
  return run.finished_at === null ? (
    <LiveScale run={run}>{children}</LiveScale>
  ) : (
    <Axis span={spanOf(run, 0)}>{children}</Axis>
  );
}

function LiveScale({ run, children }: { run: RunView; children: ReactNode }) {
  const now = useNow();
  return <Axis span={spanOf(run, now)}>{children}</Axis>;
}

function Axis({ span, children }: { span: Span; children: ReactNode }) {
  const long = span.to - span.from;
  return (
    <div className={classes.scroll} style={{ '--long': long }}>
      <div className={classes.axis} aria-hidden>
        {ticksOf(span, 6).map((at) => (
          <span key={at} style={{ '--at': at }}>
            {at === 0 ? '0' : clock(at).replace('.0', '')}
          </span>
        ))}
      </div>
      <div className={classes.rows}>{children}</div>
    </div>
  );
}

/** Only the phases that can be seen. */
function Legend({ steps }: { steps: StepView[] }) {
  const seen = useMemo(() => {
    const bars = steps.flatMap((step) => step.attempts.map((attempt) => barOf(step, attempt)));
    return new Set(bars.flatMap((bar) => bar?.pieces.map(({ phase }) => phase) ?? []));
  }, [steps]);
  return (
    <ul className={classes.legend} aria-label="Colours of phases">
      {([...PHASES, 'serve'] as const)
        .filter((phase) => seen.has(phase))
        .map((phase) => (
          <li key={phase}>
            <i data-phase={phase} /> {phase}
          </li>
        ))}
    </ul>
  );
}

interface RowProps {
  step: StepView;
  begun: number;
  selected: boolean;
  onSelect: (key: string) => void;
}

const Row = memo(function Row({ step, begun, selected, onSelect }: RowProps) {
  const node = step.attempts.at(-1)?.node;
  const bars = step.attempts.flatMap((attempt) => barOf(step, attempt) ?? []);
  return (
    <button
      type="button"
      className={classes.row}
      aria-current={selected || undefined}
      aria-label={[step.key, node && `on ${node}`, ...bars.map(told)].filter(Boolean).join('; ')}
      onClick={() => onSelect(step.key)}
    >
      <span className={classes.name}>
        <StateIcon look={lookOfStep(step)} size={15} />
        <span>{step.key}</span>
        {node && <small>{node}</small>}
      </span>
      <span className={classes.track}>
        {bars.map((bar) => (
          <Fragment key={`${bar.attempt.attempt} ${bar.attempt.epoch}`}>
            {bar.pieces.map((piece) => (
              <i key={piece.phase} data-phase={piece.phase} style={placeOf(piece, begun)} />
            ))}
            <Tooltip label={<Details bar={bar} />} position="bottom">
              <span
                className={classes.bar}
                style={placeOf(bar, begun)}
                data-outcome={bar.attempt.outcome ?? undefined}
              />
            </Tooltip>
          </Fragment>
        ))}
      </span>
    </button>
  );
});

/** Seconds from the beginning, and how long; what still lasts reaches to the end of the axis. */
function placeOf({ from, to }: { from: number; to?: number }, begun: number): CSSProperties {
  return { '--from': Math.max(0, from - begun), '--for': to === undefined ? undefined : to - from };
}

const seconds = ({ from, to }: Piece) => (to === undefined ? 'now' : duration(to - from));
const told = (bar: Bar) =>
  `attempt ${bar.attempt.attempt}: ${bar.pieces.map((piece) => `${piece.phase} ${seconds(piece)}`).join(', ')}`;

function Details({ bar }: { bar: Bar }) {
  return (
    <div className={classes.details}>
      <b>
        Attempt {bar.attempt.attempt}
        {bar.attempt.node && ` on ${bar.attempt.node}`}
      </b>
      {bar.pieces.map((piece) => (
        <span key={piece.phase}>
          <i data-phase={piece.phase} /> {piece.phase} <em>{seconds(piece)}</em>
        </span>
      ))}
    </div>
  );
}
