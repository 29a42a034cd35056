"""What runners have of runs on their machines: directories, networks, images made ahead of time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, select

from flowbuild.core.ids import RunId
from flowbuild.store.run_lists import OPEN_STATES
from flowbuild.store.server_tables import leftovers
from flowbuild.store.tables import runs


class Leftovers:
    """The `leftovers` table; `runner` is the name of a runner, whatever life it is in."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, runner: str, run: RunId) -> None:
        """Remember that a runner begins to work on a run."""
        if self._connection.execute(select(leftovers.c.ended).where(_same(runner, run))).first() is None:
            self._connection.execute(leftovers.insert().values(runner=runner, run_id=run))

    def end(self, run: RunId) -> None:
        """Have all runners clear away what they have of a run."""
        self._connection.execute(leftovers.update().where(leftovers.c.run_id == run).values(ended=1))

    def of_ended(self, runner: str, owner: str | None) -> Sequence[RunId]:
        """Return the runs that a runner is to clear away; with `owner`, only those of one owner."""
        query = select(leftovers.c.run_id).where(leftovers.c.runner == runner, leftovers.c.ended == 1)
        if owner is not None:
            query = query.join(runs, runs.c.id == leftovers.c.run_id).where(runs.c.owner == owner)
        return [RunId(run) for run in self._connection.execute(query.order_by(leftovers.c.run_id)).scalars()]

    def has(self, runner: str, run: RunId) -> bool:
        """Whether a runner may have something of a run."""
        return self._connection.execute(select(leftovers.c.ended).where(_same(runner, run))).first() is not None

    def forget(self, runner: str, run: RunId) -> None:
        """A runner has nothing of a run any more."""
        self._connection.execute(leftovers.delete().where(_same(runner, run)))

    def forget_all(self, runner: str) -> None:
        """Wait for a runner no more: whatever is on its machine, it will not tell."""
        self._connection.execute(leftovers.delete().where(leftovers.c.runner == runner))

    def clear(self, runner: str, living: Collection[str]) -> None:
        """A runner has nothing any more of final runs, but of those that living owners drive."""
        final = select(runs.c.id).where(runs.c.state.not_in(OPEN_STATES), runs.c.owner.not_in(list(living)))
        self._connection.execute(leftovers.delete().where(leftovers.c.runner == runner, leftovers.c.run_id.in_(final)))


def _same(runner: str, run: RunId) -> Any:
    return (leftovers.c.runner == runner) & (leftovers.c.run_id == run)
