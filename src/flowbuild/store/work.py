"""What waits for a runner and what runs, over all runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from flowbuild.core.ids import RunId, StepKey, runner_name
from flowbuild.store.attempts import LIVE
from flowbuild.store.tables import attempts, runs


@dataclass(frozen=True, slots=True)
class WorkLine:
    """An attempt that has not ended. `runner` is the name of who has it, empty while it is queued."""

    run: RunId
    number: int
    project: str
    pipeline: str
    step: StepKey
    attempt: int
    state: str
    queued_at: float
    started_at: float | None
    runner: str


class Work:
    """Reads the `attempts` that have not ended, each with its run."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def busy(self) -> Mapping[str, int]:
        """Return how many attempts each runner has, by its name."""
        held = select(attempts.c.runner).where(attempts.c.state.in_(LIVE))
        return Counter(runner_name(runner) for runner in self._connection.execute(held).scalars())

    def lines(self, projects: Collection[str] | None, limit: int) -> Sequence[WorkLine]:
        """Return them in the order in which they were queued, of some projects or of all (None)."""
        a, r = attempts.c, runs.c
        query = (
            select(
                r.id, r.number, r.project, r.pipeline, a.step, a.attempt, a.state, a.queued_at, a.started_at, a.runner
            )
            .join(runs, r.id == a.run_id)
            .where(a.state != "done")
            .order_by(a.queued_at, a.step)
            .limit(limit)
        )
        if projects is not None:
            query = query.where(r.project.in_(sorted(projects)))
        return [
            WorkLine(
                run=RunId(row.id),
                number=row.number,
                project=row.project,
                pipeline=row.pipeline,
                step=StepKey(row.step),
                attempt=row.attempt,
                state=row.state,
                queued_at=row.queued_at,
                started_at=row.started_at,
                runner=runner_name(row.runner),
            )
            for row in self._connection.execute(query)
        ]
