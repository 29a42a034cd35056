"""The way of one step: join decided, input known, allowed to act, offered to runners, ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowbuild.core.commands import AcquireLock, Enqueue, PrepareInput, ProbeInput, ReleaseLock
from flowbuild.core.expr import ExpressionError
from flowbuild.core.ids import CommitId, StepKey
from flowbuild.core.joins import Decision, decide_join, follows
from flowbuild.core.model import Edge, Join
from flowbuild.core.run import StepRun
from flowbuild.core.states import EdgeState, Outcome, Reason, StepState
from flowbuild.core.turn import Turn

_ACTING = frozenset({StepState.QUEUED, StepState.RUNNING, StepState.BACKOFF})


def advance(turn: Turn) -> None:
    """Look at every step whose join may have become decided, until nothing more follows."""
    while (key := turn.next_unchecked()) is not None:
        if turn.steps[key].state is StepState.PENDING:
            _check(turn, key)


def _check(turn: Turn, key: StepKey) -> None:
    if key in turn.broken:
        end(turn, key, Outcome.FAILED, Reason.CONDITION_ERROR, turn.broken[key])
        return
    states = [(turn.pipeline.edges[i].kind, turn.edges[i]) for i in turn.pipeline.incoming[key]]
    match decide_join(turn.definition(key).join, states):
        case Decision.RUN:
            _begin(turn, key)
        case Decision.SKIP:
            end(turn, key, Outcome.SKIPPED, Reason.DEAD_PATH)
        case Decision.WAIT:
            _probe(turn, key)


def taken_sources(turn: Turn, key: StepKey) -> tuple[StepKey, ...]:
    """Return the sources of the taken edges into a step, in file order, each once."""
    positions = turn.pipeline.incoming[key]
    return tuple(dict.fromkeys(turn.pipeline.edges[i].source for i in positions if turn.edges[i] is EdgeState.TAKEN))


def _results(turn: Turn, key: StepKey) -> tuple[tuple[StepKey, CommitId], ...]:
    """Return what the taken parents left, in file order.

    A parent whose result was lost counts with its input; one that failed before it had an input left nothing.
    """
    found = []
    for source in taken_sources(turn, key):
        commit = turn.steps[source].result_commit or turn.steps[source].input_commit
        if commit is not None:
            found.append((source, commit))
    return tuple(found)


def _begin(turn: Turn, key: StepKey) -> None:
    """The step runs: find its input, merging only when there is something to merge."""
    parents = _results(turn, key)
    overrides = turn.steps[key].overrides
    turn.update(key, parents=tuple(parent for parent, _ in parents))
    if overrides or len({commit for _, commit in parents}) > 1:
        turn.update(key, state=StepState.PREPARING)
        turn.emit(PrepareInput(key, parents, overrides))
    elif parents:
        parent, commit = parents[0]
        input_known(turn, key, commit, turn.steps[parent].variables)
    else:
        input_known(turn, key, turn.before.initial_commit, turn.before.variables)


def _probe(turn: Turn, key: StepKey) -> None:
    """Some parents are still at work: see whether the results that are there go together."""
    parents = _results(turn, key)
    names = tuple(parent for parent, _ in parents)
    alive = all(turn.edges[i] is not EdgeState.DEAD for i in turn.pipeline.incoming[key])
    different = len({commit for _, commit in parents}) > 1
    if turn.definition(key).join is Join.ALL and alive and different and names != turn.steps[key].parents:
        turn.update(key, parents=names)
        turn.emit(ProbeInput(key, parents))


def probed(turn: Turn, key: StepKey) -> bool:
    """Whether a conflict found early is one of the step: it was looked for, and no edge has died since."""
    alive = all(turn.edges[i] is not EdgeState.DEAD for i in turn.pipeline.incoming[key])
    return alive and bool(turn.steps[key].parents)


def input_known(turn: Turn, key: StepKey, commit: CommitId, variables: Mapping[str, str]) -> None:
    """The input is there: the condition of the step decides, then the gate of its environment."""
    turn.update(key, input_commit=commit, variables=variables)
    condition = turn.definition(key).condition
    try:
        wanted = condition is None or turn.test(condition, key, variables)
    except ExpressionError as error:
        message = f"the condition of {key} cannot be evaluated: {error.message}"
        end(turn, key, Outcome.FAILED, Reason.CONDITION_ERROR, message)
        return
    if wanted:
        pass_gate(turn, key)
    else:
        end(turn, key, Outcome.SKIPPED, Reason.CONDITION)


def pass_gate(turn: Turn, key: StepKey) -> None:
    """Wait for approval, then for the lock: a lock held while nobody has approved yet would stop the others."""
    environment = turn.definition(key).environment
    if environment is None:
        enqueue(turn, key)
        return
    turn.update(key, state=StepState.WAITING)
    if approved(turn, turn.steps[key]):
        turn.emit(AcquireLock(key, environment.name))


def approved(turn: Turn, step: StepRun) -> bool:
    """Whether nobody has to approve the step any more."""
    environment = turn.definition(step.key).environment
    return environment is None or not environment.approve or bool(step.approved_by)


def enqueue(turn: Turn, key: StepKey) -> None:
    """Offer the next attempt."""
    fresh: dict[str, Any] = {"outcome": None, "reason": None, "message": "", "exit_code": None, "result_commit": None}
    turn.update(key, state=StepState.QUEUED, started_at=None, launched_at=None, **fresh)
    offer(turn, key, turn.steps[key].attempt + 1, turn.before.first_epoch)


def offer(turn: Turn, key: StepKey, attempt: int, epoch: int) -> None:
    """Offer an attempt to runners; the epoch fences whoever was offered it before."""
    turn.update(key, attempt=attempt, epoch=epoch)
    turn.emit(Enqueue(key, attempt, epoch, turn.steps[key].input_commit or turn.before.initial_commit))


def end(
    turn: Turn, key: StepKey, outcome: Outcome, reason: Reason | None = None, message: str = "", **changes: Any
) -> None:
    """The step has ended: give its lock back and settle the edges out of it."""
    release_lock(turn, key)
    ended = {"outcome": outcome, "reason": reason, "message": message, "finished_at": turn.now}
    ended |= {"returning": False, "served_from": None}
    turn.update(key, state=StepState.DONE, **ended, **changes)
    settle(turn, key)


def release_lock(turn: Turn, key: StepKey) -> None:
    """Give back the lock that the step holds or has asked for; a step that serves has given it back before."""
    step = turn.steps[key]
    environment = turn.definition(key).environment
    asked = step.state in _ACTING or (step.state is StepState.WAITING and approved(turn, step))
    if environment is not None and asked:
        turn.emit(ReleaseLock(key, environment.name))


def settle(turn: Turn, key: StepKey) -> None:
    """Settle the edges out of a step whose outcome is known; edges settled before stay as they are."""
    for position in turn.pipeline.outgoing[key]:
        if turn.edges[position] is EdgeState.PENDING:
            edge = turn.pipeline.edges[position]
            turn.edges[position] = EdgeState.TAKEN if _taken(turn, edge) else EdgeState.DEAD
            turn.recheck(edge.target)


def _taken(turn: Turn, edge: Edge) -> bool:
    source = turn.steps[edge.source]
    allow_failure = turn.definition(edge.source).allow_failure
    if source.outcome is None or not follows(edge.kind, source.outcome, allow_failure=allow_failure):
        return False
    try:
        return edge.condition is None or turn.test(edge.condition, edge.source, source.variables)
    except ExpressionError as error:
        message = f"the condition of the edge {edge.source} -> {edge.target} cannot be evaluated: {error.message}"
        turn.broken[edge.target] = message
        return False
