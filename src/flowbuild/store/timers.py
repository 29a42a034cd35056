"""Timers of runs: one per run and name; setting it again moves it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from flowbuild.core.ids import RunId
from flowbuild.store.tables import runs, timers


class Timers:
    """The `timers` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def set(self, run: RunId, name: str, at: float) -> None:
        """Arm (or move) a timer."""
        self.clear(run, name)
        self._connection.execute(timers.insert().values(run_id=run, name=name, at=at))

    def clear(self, run: RunId, name: str | None = None) -> None:
        """Disarm a timer, or all of the run."""
        statement = timers.delete().where(timers.c.run_id == run)
        self._connection.execute(statement if name is None else statement.where(timers.c.name == name))

    def of_run(self, run: RunId) -> Sequence[tuple[str, float]]:
        """Return the timers of a run by name, with the time when they are due."""
        query = select(timers.c.name, timers.c.at).where(timers.c.run_id == run).order_by(timers.c.at)
        return [(row.name, row.at) for row in self._connection.execute(query)]

    def due(self, owner: str, now: float) -> Sequence[tuple[RunId, str]]:
        """Return timers of an owner's runs that are due, the earliest first."""
        query = (
            select(timers.c.run_id, timers.c.name)
            .join(runs, runs.c.id == timers.c.run_id)
            .where(runs.c.owner == owner, timers.c.at <= now)
            .order_by(timers.c.at)
        )
        return [(RunId(row.run_id), row.name) for row in self._connection.execute(query)]

    def next_at(self, owner: str) -> float | None:
        """Return when the owner's next timer is due."""
        query = select(func.min(timers.c.at)).join(runs, runs.c.id == timers.c.run_id).where(runs.c.owner == owner)
        return self._connection.execute(query).scalar()
