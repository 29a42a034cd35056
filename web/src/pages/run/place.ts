/** What is chosen on the page of a run, which is in its address. */
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useCallback, useMemo } from 'react';
import type { AttemptView, RunView, StepView } from '@/api';
import { defaultStep, inOrder } from './order';

export const TABS = ['logs', 'changes', 'workspace', 'details', 'overview'] as const;
export type Tab = (typeof TABS)[number];
const VIEWS = ['graph', 'list', 'timeline'] as const;
export type View = (typeof VIEWS)[number];

export interface Place {
  view: View;
  /** `overview` is of the run, the others are of the step. */
  tab: Tab;
  step: StepView | undefined;
  attempt: AttemptView | undefined;
}

interface Search {
  step?: string;
  attempt?: string;
  tab?: string;
  view?: string;
}

/** Return what an address means for a run. What it does not say follows the run: the first failure, else what runs. */
export function placeOf(search: Search, run: RunView): Place {
  const named = run.steps.find((step) => step.key === search.step);
  const step = named ?? defaultStep(inOrder(run));
  const attempt = step?.attempts.find((each) => String(each.attempt) === search.attempt) ?? step?.attempts.at(-1);
  const wanted = TABS.find((each) => each === search.tab);
  const usual = step && step.attempts.length === 0 ? 'details' : 'logs';
  return {
    view: VIEWS.find((each) => each === search.view) ?? 'graph',
    tab: step ? (wanted ?? usual) : 'overview',
    step,
    attempt,
  };
}

export interface Choose {
  step: (key: string | undefined, more?: { tab?: Tab; replace?: boolean }) => void;
  attempt: (attempt: number) => void;
  tab: (tab: Tab) => void;
  view: (view: View) => void;
}

/** Return functions that change the address. What belongs to one attempt (a line, a file) goes away with it. */
export function useChoose(): Choose {
  const navigate = useNavigate({ from: '/projects/$project/runs/$number' });
  const keep = useCallback(
    ({ view, tab, step, attempt }: Search, more: Search, replace = false) =>
      void navigate({ search: { view, tab, step, attempt, ...more }, replace, resetScroll: false }),
    [navigate],
  );
  const search = useSearch({ from: '/shell/projects/$project/runs/$number' });
  return useMemo(
    () => ({
      step: (key, more) => {
        const left = search.tab === 'overview' ? undefined : search.tab;
        const tab = key === undefined ? 'overview' : (more?.tab ?? left);
        keep({ view: search.view }, { step: key, tab }, more?.replace);
      },
      attempt: (attempt) => keep(search, { attempt: String(attempt) }),
      tab: (tab) => keep(search, { tab }),
      view: (view) => keep(search, { view: view === 'graph' ? undefined : view }, true),
    }),
    [search, keep],
  );
}
