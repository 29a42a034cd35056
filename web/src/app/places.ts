/** Where the command palette can go, and what of it is meant by what somebody typed. */
import type { ProjectGlance } from '@/api';

export interface Place {
  /** An address of ours. */
  to: string;
  label: string;
  /** What it is, or what it belongs to. */
  kind: string;
}

const PAGES: [to: string, label: string, needs?: string][] = [
  ['/', 'Pipelines'],
  ['/runs', 'Runs'],
  ['/queue', 'Queue'],
  ['/projects', 'Projects'],
  ['/projects/new', 'Add a project', 'project.create'],
  ['/runners', 'Runners', 'runner.read'],
  ['/users', 'Users', 'user.read'],
  ['/bots', 'Bots', 'bot.register'],
  ['/audit', 'Audit', 'audit.read'],
  ['/account', 'Account and tokens'],
];

/** `may`: as useMay gives it. */
export function placesOf(projects: ProjectGlance[], may: (action: never, project?: string) => boolean): Place[] {
  const pages = PAGES.filter(([, , needs]) => !needs || may(needs as never)).map(([to, label]) => ({
    to,
    label,
    kind: 'page',
  }));
  const own = projects.flatMap((project) => {
    const at = `/projects/${encodeURIComponent(project.name)}`;
    const pipelines = project.pipelines.flatMap((pipeline): Place[] => {
      const to = `${at}/pipelines/${encodeURIComponent(pipeline.name)}`;
      const label = `${project.name} / ${pipeline.name}`;
      const here = { to, label, kind: 'pipeline' };
      if (!pipeline.known) return [here];
      const file = { to: `${to}/file`, label, kind: 'pipeline file' };
      const start = { to: `${to}/start`, label: `Run ${label}`, kind: 'start' };
      return may('run.start' as never, project.name) ? [here, start, file] : [here, file];
    });
    return [{ to: at, label: project.name, kind: 'project' }, ...pipelines];
  });
  return [...pages, ...own];
}

/** Runs that a number may mean, those of the project one is in first: `12`, `#12`, `shop 12`, `shop#12`. */
export function runsMeant(typed: string, projects: ProjectGlance[], current: string | undefined): Place[] {
  const [, words = '', number] = /^(.*?)[\s#/]*(?<![\w-])#?([0-9]{1,9})$/.exec(typed.trim()) ?? [];
  if (number === undefined) return [];
  const meant = projects.map((project) => project.name).filter((name) => fits(name, words));
  meant.sort((a, b) => Number(b === current) - Number(a === current));
  return meant.map((name) => ({
    to: `/projects/${encodeURIComponent(name)}/runs/${Number(number)}`,
    label: `${name} #${Number(number)}`,
    kind: 'run',
  }));
}

const words = (text: string) =>
  text
    .toLowerCase()
    .split(/[\s/]+/)
    .filter(Boolean);
const fits = (text: string, typed: string) => words(typed).every((word) => text.toLowerCase().includes(word));

/** Those with all that was typed in their name or kind; names that begin with it go first, short ones before long ones. */
export function found(places: Place[], typed: string): Place[] {
  if (typed.trim() === '') return places;
  const [first = ''] = words(typed);
  const rank = (place: Place) => {
    const parts = place.label.toLowerCase().split(' / ');
    return parts.some((part) => part.startsWith(first)) ? 0 : 1;
  };
  return places
    .filter((place) => fits(`${place.label} ${place.kind}`, typed))
    .sort((a, b) => rank(a) - rank(b) || a.label.length - b.label.length);
}
