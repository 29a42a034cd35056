import { Link } from '@tanstack/react-router';
import type { WorkView } from '@/api';

/** The step of a run, where it is looked at. */
export function StepLink({ work, whole = false }: { work: WorkView; whole?: boolean }) {
  return (
    <Link
      to="/projects/$project/runs/$number"
      params={{ project: work.project, number: String(work.number) }}
      search={{ step: work.step }}
    >
      {whole && `${work.project} / ${work.pipeline} #${work.number} / `}
      {work.step}
      {work.attempt > 1 && <span className="faint"> attempt {work.attempt}</span>}
    </Link>
  );
}
