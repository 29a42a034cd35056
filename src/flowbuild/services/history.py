"""How a pipeline has done lately: its runs, its steps, why they went wrong, which of them cannot be relied on. Blocking."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from flowbuild.core.ids import RunId
from flowbuild.core.states import Outcome, Reason, RunState
from flowbuild.services.overview import Record, record_of
from flowbuild.store.database import Database
from flowbuild.store.figures import AttemptFigure, StepEnd
from flowbuild.store.run_lists import RunFigure

EXAMPLES = 5  # runs in which a step was flaky that are named


@dataclass(frozen=True, slots=True)
class StepHistory:
    """How the last attempts of a step went: `failed` is the user's fault, `errored` ours. Steps that did not run count nowhere.

    Durations are of attempts that succeeded and really ran; `retried` are runs in which it had several attempts. `flaky` counts
    runs in which it failed although it succeeded with the same commit, in another run or in a later attempt; some of them are named.
    """

    step: str
    outcomes: Mapping[Outcome, int]
    cached: int
    retried: int
    median_seconds: float | None
    p90_seconds: float | None
    median_waiting: float | None
    flaky: int
    flaky_runs: Sequence[RunId]


@dataclass(frozen=True, slots=True)
class PipelineHistory:
    """The latest runs that ended, the newest first, and what they have in common. `reasons`: of steps that went wrong."""

    runs: Sequence[RunFigure]
    record: Record
    p90_seconds: float | None
    steps: Sequence[StepHistory]
    reasons: Mapping[tuple[Outcome, Reason | None], int]


class History:
    """Reads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, project: str, pipeline: str, last: int, branch: str = "") -> PipelineHistory:
        """Return how the latest runs of a pipeline went, or those of one branch."""
        with self._database.read() as tx:
            runs = tx.runs.statistics(project, pipeline, last, branch=branch)
            attempts = tx.figures.attempts([run.id for run in runs])
            wrong = tx.figures.wrong([run.id for run in runs if run.state in (RunState.FAILED, RunState.ERRORED)])
        return history(runs, attempts, wrong)


def history(runs: Sequence[RunFigure], attempts: Sequence[AttemptFigure], wrong: Sequence[StepEnd]) -> PipelineHistory:
    """Add up runs, the newest first, with their attempts, by run, step and number, and what went wrong in them."""
    by_step: defaultdict[str, dict[RunId, list[AttemptFigure]]] = defaultdict(dict)
    for each in attempts:
        by_step[each.step].setdefault(each.run, []).append(each)
    ends = {(end.run, end.step): (end.outcome, end.reason) for end in wrong}
    for step, of_step in by_step.items():
        last = {run: tries[-1] for run, tries in of_step.items()}
        ends |= {
            (run, step): (end.outcome, end.reason)
            for run, end in last.items()
            if end.outcome in (Outcome.FAILED, Outcome.ERRORED)
        }
    for _, step in ends:
        by_step.setdefault(step, {})
    began = {run.id: run.created_at for run in runs}
    return PipelineHistory(
        runs,
        record_of([(run.state, run.seconds) for run in runs]),
        percentile([run.seconds for run in runs if run.state is RunState.SUCCEEDED]),
        [
            _step(step, runs, by_step[step], ends)
            for step in sorted(by_step, key=lambda step: _turn(by_step[step], began))
        ],
        Counter(ends.values()),
    )


def _turn(of_step: Mapping[RunId, Sequence[AttemptFigure]], began: Mapping[RunId, float]) -> float:
    """Return after how many seconds of a run a step had its turn, the last time."""
    newest = max(of_step, default=None)
    return math.inf if newest is None else of_step[newest][0].queued_at - began[newest]


def percentile(values: Collection[float], share: float = 0.9) -> float | None:
    """Return the smallest value that so many of all do not exceed; None without any."""
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else None


def _step(
    step: str,
    runs: Sequence[RunFigure],
    of_step: Mapping[RunId, Sequence[AttemptFigure]],
    ends: Mapping[tuple[RunId, str], tuple[Outcome, Reason | None]],
) -> StepHistory:
    last = {run: tries[-1] for run, tries in of_step.items()}
    outcomes = {run: end.outcome for run, end in last.items()}
    outcomes |= {run: outcome for (run, name), (outcome, _) in ends.items() if name == step}
    ran = [end for end in last.values() if end.outcome is Outcome.SUCCEEDED and not end.cached]
    seconds = [end.finished_at - end.started_at for end in ran if end.finished_at and end.started_at]
    waiting = [end.started_at - end.queued_at for end in last.values() if end.started_at]
    flaky = _flaky(runs, of_step)
    return StepHistory(
        step,
        Counter(outcomes.values()),
        cached=sum(end.cached for end in last.values()),
        retried=sum(len(tries) > 1 for tries in of_step.values()),
        median_seconds=median(seconds) if seconds else None,
        p90_seconds=percentile(seconds),
        median_waiting=median(waiting) if waiting else None,
        flaky=len(flaky),
        flaky_runs=flaky[:EXAMPLES],
    )


def _flaky(runs: Sequence[RunFigure], of_step: Mapping[RunId, Sequence[AttemptFigure]]) -> list[RunId]:
    """Return the runs in which a step failed for no reason that its commit tells. What is our fault says nothing of the step."""
    good: set[str] = set()
    failed: dict[RunId, str] = {}
    found: set[RunId] = set()
    for run in runs:
        tries = [each for each in of_step.get(run.id, ()) if not each.cached]
        if any(each.outcome is Outcome.FAILED for each in tries):
            failed[run.id] = "" if run.dirty else run.commit
            if tries[-1].outcome is Outcome.SUCCEEDED:
                found.add(run.id)
        if tries and tries[-1].outcome is Outcome.SUCCEEDED and not run.dirty:
            good.add(run.commit)
    found |= {run for run, commit in failed.items() if commit and commit in good}
    return [run.id for run in runs if run.id in found]
