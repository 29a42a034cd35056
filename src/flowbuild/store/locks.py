"""Exclusive locks of environments: first come, first served, across runs."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from flowbuild.core.ids import RunId, StepKey
from flowbuild.store.sharing import serialise
from flowbuild.store.tables import locks


class Locks:
    """The `locks` table; who stands first holds the lock."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def join(self, name: str, run: RunId, step: StepKey) -> bool:
        """Stand in line (once); return whether the step holds the lock now."""
        self._alone()
        mine = (locks.c.name == name) & (locks.c.run_id == run) & (locks.c.step == step)
        if self._connection.execute(select(locks.c.name).where(mine)).first() is None:
            last = self._connection.execute(select(func.max(locks.c.position)).where(locks.c.name == name)).scalar()
            row = {"name": name, "run_id": run, "step": step, "position": 0 if last is None else last + 1}
            self._connection.execute(locks.insert().values(**row))
        return self.holder(name) == (run, step)

    def leave(self, name: str, run: RunId, step: StepKey) -> Sequence[tuple[RunId, StepKey]]:
        """Leave the line; return who stands in it now. The first holds the lock."""
        self._alone()
        self._connection.execute(
            locks.delete().where(locks.c.name == name, locks.c.run_id == run, locks.c.step == step)
        )
        return self._line(name)

    def holds(self, name: str, run: RunId, step: StepKey) -> bool:
        """Whether the step holds the lock; nobody else comes or goes until this transaction ends."""
        self._alone()
        return self.holder(name) == (run, step)

    def holder(self, name: str) -> tuple[RunId, StepKey] | None:
        """Return the run and step that hold the lock."""
        return next(iter(self._line(name)), None)

    def _alone(self) -> None:
        """Of two that come and go at once each must see the other: all lines change one after another."""
        serialise(self._connection, "locks")

    def _line(self, name: str) -> Sequence[tuple[RunId, StepKey]]:
        query = select(locks.c.run_id, locks.c.step).where(locks.c.name == name).order_by(locks.c.position)
        return [(RunId(row.run_id), StepKey(row.step)) for row in self._connection.execute(query)]
