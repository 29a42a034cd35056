"""When an edge is taken and when a step runs: the rules of the graph, without any state of their own."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from flowbuild.core.model import EdgeKind, Join
from flowbuild.core.states import EdgeState, Outcome


class Decision(StrEnum):
    """What the edges into a step say about it."""

    WAIT = "wait"
    RUN = "run"
    SKIP = "skip"


def follows(kind: EdgeKind, outcome: Outcome, *, allow_failure: bool) -> bool:
    """Whether an edge of that kind is taken after that outcome of its source (its condition not considered).

    A failure that is allowed goes on as a success does, and is still a failure for those who ask for it.
    """
    if outcome in (Outcome.SKIPPED, Outcome.CANCELLED):
        return False
    if kind is EdgeKind.ALWAYS:
        return True
    if kind is EdgeKind.FAIL:
        return outcome in (Outcome.FAILED, Outcome.ERRORED)
    return outcome is Outcome.SUCCEEDED or (outcome is Outcome.FAILED and allow_failure)


def decide_join(join: Join, edges: Iterable[tuple[EdgeKind, EdgeState]]) -> Decision:
    """Decide whether a step runs, by the kinds and states of the edges into it; without edges it runs."""
    states = list(edges)
    if not states:
        return Decision.RUN
    taken = [kind for kind, state in states if state is EdgeState.TAKEN]
    if join is Join.FIRST and taken:
        return Decision.RUN
    if any(state is EdgeState.PENDING for _, state in states):
        return Decision.WAIT
    if join is not Join.ALL:
        return Decision.RUN if taken else Decision.SKIP
    if any(kind is not EdgeKind.SUCCESS for kind in taken):
        return Decision.RUN
    # Only success edges were taken. Those of kind fail or always are all dead, so they do not count here.
    needed = sum(kind is EdgeKind.SUCCESS for kind, _ in states)
    return Decision.RUN if needed and len(taken) == needed else Decision.SKIP
