/** The runs of a pipeline as a chart takes them: the oldest first, a column each. */
import type { RunBar } from '@/api';
import { type Look, lookOfRun } from '@/ui/states';

export interface ChartData {
  runs: RunBar[];
  places: number[];
  seconds: number[];
  looks: Look[];
}

export function chartData(runs: RunBar[]): ChartData {
  const shown = runs.toReversed();
  return {
    runs: shown,
    places: shown.map((_, place) => place),
    seconds: shown.map((run) => run.seconds),
    looks: shown.map((run) => lookOfRun(run.state)),
  };
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400]; // seconds

/** Where lines are drawn across the chart: at round durations, four of them or fewer. */
export function ticks(most: number): number[] {
  const step = STEPS.find((each) => most / each <= 4) ?? 86_400 * Math.ceil(most / 4 / 86_400);
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, count) => count * step);
}

/** As short as it gets: 0, 30 s, 5 min, 2 h */
export function roundDuration(seconds: number): string {
  if (seconds === 0) return '0';
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return seconds % 60 === 0 ? `${seconds / 60} min` : `${(seconds / 60).toFixed(1)} min`;
  return `${Number((seconds / 3600).toFixed(1))} h`;
}
