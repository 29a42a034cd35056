"""Why a step does not run yet, in words and as data. Blocking: call from threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from flowbuild.client.base import HolderView, RunView, StepView
from flowbuild.core.ids import RunId, StepKey
from flowbuild.core.states import EdgeState, StepState
from flowbuild.services.looking import Looking, require_step
from flowbuild.store.attempts import AttemptKey
from flowbuild.store.database import Database


class WaitsFor(StrEnum):
    """What a step waits for."""

    NOTHING = "nothing"  # it runs, or has ended
    STEPS = "steps"  # those before it
    INPUT = "input"  # the merge of their results
    APPROVAL = "approval"
    ENVIRONMENT = "environment"  # somebody else acts on it
    RETRY = "retry"  # the time between two attempts
    RUNNER = "runner"  # a free place to run


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a step does not run. `since`: seconds since the epoch; `details` depends on what it waits for."""

    waits_for: WaitsFor
    message: str
    since: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


class WaitService:
    """Explains. `capacity` tells how many attempts may run at once, on how many runners."""

    def __init__(self, database: Database, looking: Looking, capacity: Callable[[], tuple[int, int]]) -> None:
        self._database = database
        self._looking = looking
        self._capacity = capacity

    def why(self, run: RunId, key: str) -> Waiting:
        """Return why a step does not run; raises NotFound."""
        view = self._looking.run(run, {})
        step = require_step(view, key)
        match step.state:
            case StepState.PENDING:
                return _steps_before(view, step)
            case StepState.PREPARING:
                return Waiting(WaitsFor.INPUT, "the results of the steps before it are being merged")
            case StepState.WAITING:
                return _gate(step)
            case StepState.BACKOFF:
                return Waiting(WaitsFor.RETRY, f"attempt {len(step.attempts)} went wrong; the next one is due soon")
            case StepState.QUEUED:
                return self._queue(run, step)
            case _:
                return Waiting(WaitsFor.NOTHING, f"it is {step.outcome or step.state}")

    def _queue(self, run: RunId, step: StepView) -> Waiting:
        attempt = step.attempts[-1]
        with self._database.read() as tx:
            ahead = tx.attempts.ahead(AttemptKey(run, StepKey(step.key), attempt.attempt, attempt.epoch))
        places, runners = self._capacity()
        details = {"ahead": ahead, "runners": runners, "places": places}
        if runners == 0:
            message = "no runner is connected"
        elif ahead:
            message = f"{ahead} before it in the queue; {places} can run at once"
        else:
            message = f"it is the next; all {places} places are taken"
        return Waiting(WaitsFor.RUNNER, message, attempt.queued_at, details)


def _steps_before(view: RunView, step: StepView) -> Waiting:
    open_edges = [edge for edge in view.edges if edge.target == step.key and edge.state is EdgeState.PENDING]
    names = list(dict.fromkeys(edge.source for edge in open_edges))
    message = f"it runs after {', '.join(names)}" if names else "the run has not begun"
    return Waiting(WaitsFor.STEPS, message, details={"steps": names})


def _gate(step: StepView) -> Waiting:
    if step.approve:
        who = ", ".join(step.approve)
        return Waiting(
            WaitsFor.APPROVAL, f"somebody has to approve it: {who}", details={"approvers": list(step.approve)}
        )
    holder = step.holder
    if holder is None:
        return Waiting(WaitsFor.ENVIRONMENT, "it gets its environment just now")
    return Waiting(WaitsFor.ENVIRONMENT, _held(holder), details={"run": holder.run, "step": holder.step})


def _held(holder: HolderView) -> str:
    where = f"step {holder.step!r} of run {holder.number} of {holder.project}"
    more = ", which was interrupted: resume or cancel it" if holder.interrupted else ""
    return f"{where} acts on environment {holder.environment!r}{more}"
