"""Why a step does not run yet, in words and as data. Blocking: call from threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from flowbuild.client.base import HolderView, RunView, StepView
from flowbuild.core.ids import EMBEDDED, RunId, StepKey
from flowbuild.core.states import EdgeState, StepState
from flowbuild.services.decisions import Clock
from flowbuild.services.looking import Looking, require_step
from flowbuild.services.placing import Placing, Prospects
from flowbuild.store.attempts import AttemptKey
from flowbuild.store.database import Database

NAMED = 5  # runners of which is said what is in the way


class WaitsFor(StrEnum):
    """What a step waits for."""

    NOTHING = "nothing"  # it runs, or has ended
    STEPS = "steps"  # those before it
    INPUT = "input"  # the merge of their results
    APPROVAL = "approval"
    ENVIRONMENT = "environment"  # somebody else acts on it
    RETRY = "retry"  # the time between two attempts
    RUNNER = "runner"  # a free place to run
    MACHINE = "machine"  # one that can have it, or has room for what it reserves


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a step does not run. `since`: seconds since the epoch; `details` depends on what it waits for."""

    waits_for: WaitsFor
    message: str
    since: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


class WaitService:
    """Explains. `placing` knows the runners, by the time of `clock`.

    `inside` tells how many attempts may run at once in servers, and in how many of them.
    """

    def __init__(
        self,
        database: Database,
        looking: Looking,
        placing: Placing,
        clock: Clock,
        inside: Callable[[], tuple[int, int]] = lambda: (0, 0),
    ) -> None:
        self._database = database
        self._looking = looking
        self._placing = placing
        self._clock = clock
        self._inside = inside

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
            case StepState.SERVING if step.returning:
                return self._queue(run, step)
            case _:
                return Waiting(WaitsFor.NOTHING, f"it is {step.outcome or step.state}")

    def _queue(self, run: RunId, step: StepView) -> Waiting:
        attempt = step.attempts[-1]
        key = AttemptKey(run, StepKey(step.key), attempt.attempt, attempt.epoch)
        with self._database.read() as tx:
            prospects = self._placing.prospects(tx, key, self._clock())
        if prospects is None:
            return Waiting(WaitsFor.NOTHING, "it was just given to a runner", attempt.queued_at)
        return _in_line(prospects, self._inside(), attempt.queued_at)


def _in_line(prospects: Prospects, inside: tuple[int, int], since: float | None) -> Waiting:
    """Return why a queued step does not run: nobody is there, nobody may have it, nobody has room for it, others are first."""
    open_ones = [machine for machine in prospects.machines.values() if not machine.closed]
    near = [machine for machine in open_ones if machine.name == EMBEDDED]
    places, runners = sum(machine.places for machine in open_ones), len(open_ones)
    if near:  # it stands for those inside all servers
        places, runners = places - near[0].places + max(inside[0], near[0].places), runners - 1 + max(inside[1], 1)
    obstacles = {name: hurdle for name, hurdle in prospects.obstacles.items() if hurdle.kind != "closed"}
    told = {name: hurdle.text for name, hurdle in prospects.obstacles.items()}
    details = {"ahead": prospects.older, "runners": runners, "places": places, "obstacles": told}
    if not open_ones:
        return Waiting(WaitsFor.RUNNER, "no runner is connected", since, details)
    if len(obstacles) == len(open_ones):
        could = any(hurdle.ever for hurdle in obstacles.values())
        why = "; ".join(f"{name}: {text}" for name, text in sorted(told.items())[:NAMED])
        more = f"; and {len(told) - NAMED} more" if len(told) > NAMED else ""
        message = "it waits for room" if could else "no runner can have it"
        return Waiting(WaitsFor.MACHINE, f"{message}: {why}{more}", since, details)
    if prospects.older:
        message = f"{prospects.older} have waited longer; {places} can run at once"
    else:
        message = f"it is the next; all {places} places are taken"
    return Waiting(WaitsFor.RUNNER, message, since, details)


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
