/** How long the latest runs took: a column each, its colour tells how it ended. Large; load it when it is needed. */
import { useComputedColorScheme } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { PipelineFigures, RunBar } from '@/api';
import { colourOf, lookOfRun, StateIcon, wordOf } from '@/ui/states';
import { duration, exactTime } from '@/ui/time';
import { type ChartData, chartData, roundDuration, ticks } from './chart-data';
import classes from './duration-chart.module.css';

const HEIGHT = 220; // pixels

interface DurationChartProps {
  project: string;
  figures: PipelineFigures;
}

export default function DurationChart({ project, figures }: DurationChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const [pointed, setPointed] = useState<{ run: RunBar; left: number }>();
  const scheme = useComputedColorScheme();
  const navigate = useNavigate();

  // biome-ignore lint/correctness/useExhaustiveDependencies: colours are read anew when the scheme changes
  useEffect(() => {
    const parent = place.current;
    if (!parent) return;
    const data = chartData(figures.runs);
    const plot = new uPlot(
      options(data, figures.median_seconds, parent.clientWidth),
      [data.places, data.seconds],
      parent,
    );
    const point = () => {
      const run = data.runs[plot.cursor.idx ?? -1];
      setPointed(run && { run, left: plot.valToPos(plot.cursor.idx ?? 0, 'x') + plot.over.offsetLeft });
    };
    const open = () => {
      const run = data.runs[plot.cursor.idx ?? -1];
      if (run)
        void navigate({ to: '/projects/$project/runs/$number', params: { project, number: String(run.number) } });
    };
    const leave = () => setPointed(undefined);
    plot.over.addEventListener('mousemove', point);
    plot.over.addEventListener('mouseleave', leave);
    plot.over.addEventListener('click', open);
    const sizes = new ResizeObserver(() => plot.setSize({ width: parent.clientWidth, height: HEIGHT }));
    sizes.observe(parent);
    return () => {
      sizes.disconnect();
      plot.destroy();
    };
  }, [figures, project, scheme, navigate]);

  return (
    <div className={classes.chart}>
      <div
        ref={place}
        role="img"
        aria-label={`Durations of the latest ${figures.runs.length} runs; the runs are listed below`}
      />
      {pointed && <Pointed run={pointed.run} left={pointed.left} />}
    </div>
  );
}

function Pointed({ run, left }: { run: RunBar; left: number }) {
  const look = lookOfRun(run.state);
  return (
    <div className={classes.pointed} style={{ left }}>
      <StateIcon look={look} size={14} />
      <span>
        #{run.number} {wordOf(look)} after {duration(run.seconds)}
        <br />
        <span className="faint">
          {run.branch} · {exactTime(run.created_at)}
        </span>
      </span>
    </div>
  );
}

const variable = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function options(data: ChartData, median: number | null, width: number): uPlot.Options {
  const colours = data.looks.map((look) => variable(colourOf(look).slice(4, -1)));
  const [faint, line] = [variable('--faint'), variable('--line')];
  const axis: uPlot.Axis = { stroke: faint, font: "11px 'Inter Variable', sans-serif", ticks: { show: false } };
  return {
    width,
    height: HEIGHT,
    padding: [12, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
    scales: {
      x: { time: false, range: [-0.6, Math.max(data.places.length, 24) - 0.4] },
      y: { range: [0, Math.max(...data.seconds, 1) * 1.06] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        splits: () => data.places.filter((at) => at % Math.ceil(Math.max(data.places.length, 10) / 10) === 0),
        values: (_, places) => places.map((at) => (data.runs[at] ? `#${data.runs[at].number}` : '')),
        size: 26,
      },
      {
        ...axis,
        grid: { stroke: line, width: 1 },
        splits: (plot) => ticks(plot.scales.y?.max ?? 1),
        values: (_, seconds) => seconds.map(roundDuration),
        size: 58,
      },
    ],
    series: [
      {},
      {
        points: { show: false },
        paths: uPlot.paths.bars?.({
          size: [0.72, 22],
          radius: 0.18,
          disp: { fill: { unit: 3, values: () => colours } },
        }),
        fill: faint,
        stroke: 'transparent',
        width: 0,
      },
    ],
    hooks: { draw: [(plot) => drawMedian(plot, median, faint)] },
  };
}

function drawMedian(plot: uPlot, median: number | null, colour: string) {
  if (median === null) return;
  const y = Math.round(plot.valToPos(median, 'y', true)) + 0.5;
  plot.ctx.save();
  plot.ctx.strokeStyle = colour;
  plot.ctx.setLineDash([4, 4]);
  plot.ctx.beginPath();
  plot.ctx.moveTo(plot.bbox.left, y);
  plot.ctx.lineTo(plot.bbox.left + plot.bbox.width, y);
  plot.ctx.stroke();
  plot.ctx.restore();
}
