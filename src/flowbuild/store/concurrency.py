"""Groups of runs of which only some go at once: the first of each group's line go, the others wait."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from flowbuild.core.ids import RunId
from flowbuild.store.server_tables import concurrency


class Concurrency:
    """The `concurrency` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def join(self, project: str, group: str, run: RunId) -> Sequence[RunId]:
        """Stand at the end of a group's line; return the line."""
        c = concurrency.c
        last = select(func.max(c.position)).where(c.project == project, c.group_name == group)
        position = self._connection.execute(last).scalar()
        values = {"run_id": run, "position": 0 if position is None else position + 1}
        self._connection.execute(concurrency.insert().values(project=project, group_name=group, **values))
        return self.line(project, group)

    def leave(self, run: RunId) -> Sequence[tuple[str, str]]:
        """Leave all lines that a run stands in; return project and name of each group."""
        c = concurrency.c
        rows = self._connection.execute(select(c.project, c.group_name).where(c.run_id == run)).all()
        if rows:
            self._connection.execute(concurrency.delete().where(c.run_id == run))
        return [(row.project, row.group_name) for row in rows]

    def line(self, project: str, group: str) -> Sequence[RunId]:
        """Return the runs of a group that go or wait, the first one first."""
        c = concurrency.c
        query = select(c.run_id).where(c.project == project, c.group_name == group).order_by(c.position)
        return [RunId(run) for run in self._connection.execute(query).scalars()]
