"""Effects that were decided and are not yet carried out. A row is deleted only after its effect is done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select

from flowbuild.core.commands import Command
from flowbuild.core.ids import RunId
from flowbuild.store.codec import dump_command, load_command
from flowbuild.store.tables import outbox, runs


class Outbox:
    """The `outbox` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, run: RunId, commands: Iterable[Command]) -> None:
        """Remember commands of a run, in order."""
        rows = [{"run_id": run, "command": dump_command(command)} for command in commands]
        if rows:
            self._connection.execute(outbox.insert(), rows)

    def pending(self, owner: str) -> Sequence[tuple[int, RunId, Command]]:
        """Return the commands of all runs of an owner, oldest first."""
        query = (
            select(outbox.c.id, outbox.c.run_id, outbox.c.command)
            .join(runs, runs.c.id == outbox.c.run_id)
            .where(runs.c.owner == owner)
            .order_by(outbox.c.id)
        )
        return [(row.id, RunId(row.run_id), load_command(row.command)) for row in self._connection.execute(query)]

    def done(self, identifier: int) -> None:
        """Forget a command that was carried out."""
        self._connection.execute(outbox.delete().where(outbox.c.id == identifier))
