"""Counts over all runs, for the figures of a server."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, func, select

from flowbuild.core.states import RunState
from flowbuild.store.tables import attempts, outbox, runs

_OPEN = [state for state in RunState if not state.final]


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

    def effects(self) -> int:
        """Return how many effects were decided and are not yet carried out."""
        return int(self._connection.execute(select(func.count()).select_from(outbox)).scalar() or 0)
