"""Runs that began by themselves, by what began them: a delivery, a due time, a change that was seen, another run."""

from __future__ import annotations

from sqlalchemy import Connection, select

from flowbuild.core.ids import RunId
from flowbuild.store.server_tables import starts
from flowbuild.store.sharing import insert_once


class Starts:
    """The `starts` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, key: str, run: RunId, now: float) -> RunId:
        """Let a run be what the key began; return the one that is: an earlier one, if there was one."""
        if insert_once(self._connection, starts, {"key": key, "run_id": run, "at": now}):
            return run
        return self.find(key) or run

    def find(self, key: str) -> RunId | None:
        """Return the run that the key began; it may be gone by now."""
        found = self._connection.execute(select(starts.c.run_id).where(starts.c.key == key)).scalar()
        return None if found is None else RunId(found)

    def forget(self, before: float) -> None:
        """Forget what began before a time and cannot come again."""
        self._connection.execute(starts.delete().where(starts.c.at < before))
