"""Figures: counts over all runs for a server, and how attempts of some runs went."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, func, select

from flowbuild.core.ids import RunId
from flowbuild.core.states import Outcome, Reason, RunState
from flowbuild.store.codec import load_mapping
from flowbuild.store.tables import attempts, outbox, runs

_OPEN = [state for state in RunState if not state.final]


@dataclass(frozen=True, slots=True)
class AttemptFigure:
    """How an attempt went; times are seconds since the epoch."""

    run: RunId
    step: str
    attempt: int
    outcome: Outcome
    reason: Reason | None
    queued_at: float
    started_at: float | None
    finished_at: float | None
    cached: bool


@dataclass(frozen=True, slots=True)
class StepEnd:
    """How a step of a run ended that went wrong."""

    run: RunId
    step: str
    outcome: Outcome
    reason: Reason | None


class Figures:
    """Reads counts; open runs and attempts only where all of them would be read otherwise."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def open_runs(self) -> Mapping[str, int]:
        """Return how many runs are not final, by state."""
        query = select(runs.c.state, func.count()).where(runs.c.state.in_(_OPEN)).group_by(runs.c.state)
        return {str(state): int(count) for state, count in self._connection.execute(query)}

    def open_attempts(self) -> Mapping[str, int]:
        """Return how many attempts have not ended, by state."""
        query = select(attempts.c.state, func.count()).where(attempts.c.state != "done").group_by(attempts.c.state)
        return {str(state): int(count) for state, count in self._connection.execute(query)}

    def oldest_queued_at(self) -> float | None:
        """Return since when the attempt that waits longest for a runner waits."""
        query = select(func.min(attempts.c.queued_at)).where(attempts.c.state == "queued")
        found = self._connection.execute(query).scalar()
        return None if found is None else float(found)

    def attempts(self, ids: Collection[RunId]) -> Sequence[AttemptFigure]:
        """Return how the attempts of some runs went, by run, step and number; of those that have ended."""
        return [_attempt(row) for row in self._connection.execute(attempts_of(ids)).mappings()]

    def wrong(self, ids: Collection[RunId]) -> Sequence[StepEnd]:
        """Return the steps of some runs that failed or errored, also without an attempt: when their inputs were in conflict, say."""
        query = select(runs.c.id, runs.c.snapshot).where(runs.c.id.in_(sorted(ids)))
        return [
            StepEnd(RunId(run), name, Outcome(step["outcome"]), _reason(step["reason"]))
            for run, snapshot in self._connection.execute(query)
            for name, step in load_mapping(snapshot)["steps"].items()
            if step["outcome"] in (Outcome.FAILED, Outcome.ERRORED)
        ]

    def effects(self) -> int:
        """Return how many effects were decided and are not yet carried out."""
        return int(self._connection.execute(select(func.count()).select_from(outbox)).scalar() or 0)


def attempts_of(ids: Collection[RunId]) -> Select[Any]:
    """Return the query for `Figures.attempts`."""
    c = attempts.c
    cached = c.details.like('%"cached":{"run":%').label("cached")
    told = (c.run_id, c.step, c.attempt, c.outcome, c.reason, c.queued_at, c.started_at, c.finished_at, cached)
    ended = c.run_id.in_(sorted(ids)) & c.outcome.is_not(None)
    return select(*told).where(ended).order_by(c.run_id, c.step, c.attempt)


def _attempt(row: RowMapping) -> AttemptFigure:
    return AttemptFigure(
        run=RunId(row["run_id"]),
        step=row["step"],
        attempt=row["attempt"],
        outcome=Outcome(row["outcome"]),
        reason=_reason(row["reason"]),
        queued_at=row["queued_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        cached=bool(row["cached"]),
    )


def _reason(text: str | None) -> Reason | None:
    return None if text is None else Reason(text)
