"""Groups of runs of which only some go at once: the first of each group's line go, the others wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from flowbuild.core.ids import RunId
from flowbuild.core.model import Concurrency as Group
from flowbuild.store.server_tables import concurrency
from flowbuild.store.sharing import lock_run, savepoint, serialise


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run stands. It goes when fewer than `room` are in front of it; `cancels`: those in front make room."""

    run: RunId
    room: int
    cancels: bool
    begun: bool


class Concurrency:
    """The `concurrency` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def join(self, project: str, group: Group, run: RunId) -> Sequence[Place]:
        """Stand at the end of a group's line; return the line, which nobody else changes until this transaction ends."""
        c = concurrency.c
        self._hold(project, group.group)
        last = select(func.max(c.position)).where(c.project == project, c.group_name == group.group)
        position = self._connection.execute(last).scalar()
        self._connection.execute(
            concurrency.insert().values(
                project=project,
                group_name=group.group,
                run_id=run,
                position=0 if position is None else position + 1,
                room=group.limit,
                cancels=int(group.cancel_running),
            )
        )
        return self.line(project, group.group)

    def leave(self, run: RunId) -> None:
        """Leave the line."""
        self._connection.execute(concurrency.delete().where(concurrency.c.run_id == run))

    def begin_next(self, project: str, group: str, now: float) -> RunId | None:
        """Let the first run of a line that has room and has not begun do so; return it. None: there is none.

        Nobody else changes the line until this transaction ends.
        """
        self._hold(project, group)
        while (run := self._next(project, group)) is not None:
            with savepoint(self._connection) as give_back:
                if lock_run(self._connection, run) and self._next(project, group) == run:
                    self.begun(run, now)
                    return run
                give_back()  # it has left the line while we waited for it
        return None

    def begun(self, run: RunId, now: float) -> None:
        """Store that a run has begun."""
        statement = concurrency.update().where(concurrency.c.run_id == run)
        self._connection.execute(statement.values(begun_at=now))

    def line(self, project: str, group: str) -> Sequence[Place]:
        """Return the runs of a group that go or wait, the first one first."""
        c = concurrency.c
        query = select(c.run_id, c.room, c.cancels, c.begun_at).where(c.project == project, c.group_name == group)
        rows = self._connection.execute(query.order_by(c.position))
        return [Place(RunId(row.run_id), row.room, bool(row.cancels), row.begun_at is not None) for row in rows]

    def _next(self, project: str, group: str) -> RunId | None:
        line = enumerate(self.line(project, group))
        return next((place.run for index, place in line if not place.begun and index < place.room), None)

    def _hold(self, project: str, group: str) -> None:
        serialise(self._connection, f"group {group} of {project}")
