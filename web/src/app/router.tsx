/** Every page has an address; what is chosen on it (filters, step, tab, line) is in its query. */
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  parseSearchWith,
  stringifySearchWith,
} from '@tanstack/react-router';
import { Empty, ErrorPanel } from '@/ui/panels';
import { queries } from './queries';
import { Shell } from './shell';

interface Context {
  queries: typeof queries;
}

const root = createRootRouteWithContext<Context>()({
  component: Outlet,
  notFoundComponent: () => (
    <Empty title="There is no such page">The address may be of another version of the server.</Empty>
  ),
  errorComponent: ({ error }) => <ErrorPanel error={error} retry={() => window.location.reload()} />,
});
const text = (value: unknown) => (['string', 'number', 'boolean'].includes(typeof value) ? String(value) : undefined);
/** Return a function that keeps those parameters of a query, as text. */
function texts<const K extends string>(...names: K[]) {
  return (search: Record<string, unknown>): { [name in K]?: string } =>
    Object.fromEntries(
      names.flatMap((name) => (text(search[name]) === undefined ? [] : [[name, text(search[name])]])),
    ) as {
      [name in K]?: string;
    };
}

const login = createRoute({
  getParentRoute: () => root,
  path: '/login',
  validateSearch: texts('next', 'problem'),
  component: lazyRouteComponent(() => import('@/pages/entry/login'), 'Login'),
});
const setup = createRoute({
  getParentRoute: () => root,
  path: '/setup',
  component: lazyRouteComponent(() => import('@/pages/entry/setup'), 'Setup'),
});
const shell = createRoute({ getParentRoute: () => root, id: 'shell', component: Shell });

const home = createRoute({
  getParentRoute: () => shell,
  path: '/',
  validateSearch: texts('q', 'state', 'project'),
  component: lazyRouteComponent(() => import('@/pages/home/home'), 'Home'),
});
const runs = createRoute({
  getParentRoute: () => shell,
  path: '/runs',
  validateSearch: texts('project', 'pipeline', 'state', 'branch', 'event', 'actor', 'commit'),
  component: lazyRouteComponent(() => import('@/pages/runs/runs'), 'Runs'),
});
const queue = createRoute({
  getParentRoute: () => shell,
  path: '/queue',
  component: lazyRouteComponent(() => import('@/pages/machines/queue'), 'Queue'),
});
const runners = createRoute({
  getParentRoute: () => shell,
  path: '/runners',
  component: lazyRouteComponent(() => import('@/pages/machines/runners'), 'Runners'),
});

const projects = createRoute({
  getParentRoute: () => shell,
  path: '/projects',
  validateSearch: texts('q', 'archived'),
  component: lazyRouteComponent(() => import('@/pages/projects/projects'), 'Projects'),
});
const newProject = createRoute({
  getParentRoute: () => shell,
  path: '/projects/new',
  validateSearch: texts('added'),
  component: lazyRouteComponent(() => import('@/pages/projects/new'), 'NewProject'),
});
const project = createRoute({
  getParentRoute: () => shell,
  path: '/projects/$project',
  validateSearch: texts('tab', 'channel'),
  component: lazyRouteComponent(() => import('@/pages/projects/project'), 'Project'),
});
const delivery = createRoute({
  getParentRoute: () => shell,
  path: '/projects/$project/deliveries/$delivery',
  component: lazyRouteComponent(() => import('@/pages/projects/delivery'), 'Delivery'),
});
const pipeline = createRoute({
  getParentRoute: () => shell,
  path: '/projects/$project/pipelines/$pipeline',
  validateSearch: texts('branch'),
  component: lazyRouteComponent(() => import('@/pages/pipeline/history'), 'History'),
});
const pipelineFile = createRoute({
  getParentRoute: () => shell,
  path: '/projects/$project/pipelines/$pipeline/file',
  validateSearch: texts('ref', 'path', 'line'),
  component: lazyRouteComponent(() => import('@/pages/pipeline/file'), 'PipelineFile'),
});
const start = createRoute({
  getParentRoute: () => shell,
  path: '/projects/$project/pipelines/$pipeline/start',
  validateSearch: texts('ref'),
  component: lazyRouteComponent(() => import('@/pages/pipeline/start'), 'Start'),
});

const run = createRoute({
  getParentRoute: () => shell,
  path: '/projects/$project/runs/$number',
  validateSearch: texts('step', 'attempt', 'tab', 'line', 'to', 'service', 'path', 'view'),
  component: lazyRouteComponent(() => import('@/pages/run/run'), 'Run'),
});
const compare = createRoute({
  getParentRoute: () => shell,
  path: '/projects/$project/runs/$number/compare/$other',
  validateSearch: texts('path'),
  component: lazyRouteComponent(() => import('@/pages/compare/compare'), 'Compare'),
});

const account = createRoute({
  getParentRoute: () => shell,
  path: '/account',
  validateSearch: texts('tab', 'channel'),
  component: lazyRouteComponent(() => import('@/pages/people/account'), 'Account'),
});
const users = createRoute({
  getParentRoute: () => shell,
  path: '/users',
  component: lazyRouteComponent(() => import('@/pages/people/users'), 'Users'),
});
const bots = createRoute({
  getParentRoute: () => shell,
  path: '/bots',
  component: lazyRouteComponent(() => import('@/pages/people/bots'), 'Bots'),
});
const audit = createRoute({
  getParentRoute: () => shell,
  path: '/audit',
  validateSearch: texts('project', 'actor', 'action'),
  component: lazyRouteComponent(() => import('@/pages/people/audit'), 'Audit'),
});

export const router = createRouter({
  routeTree: root.addChildren([
    login,
    setup,
    shell.addChildren([
      home,
      runs,
      queue,
      runners,
      projects,
      newProject,
      project,
      delivery,
      pipeline,
      pipelineFile,
      start,
      run,
      compare,
      account,
      users,
      bots,
      audit,
    ]),
  ]),
  context: { queries },
  // All that is in a query is text: what looks like a number needs no quotes.
  parseSearch: parseSearchWith((value) => value),
  stringifySearch: stringifySearchWith(String),
  defaultPreload: 'intent',
  scrollRestoration: true,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
