"""Everything in the database that `vault` sealed, whatever it is: for a change of keys."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Column, Connection, select

from flowbuild.store.chat_tables import channels
from flowbuild.store.server_tables import hooks, projects, secrets

PLACES: tuple[Column[str], ...] = (
    secrets.c.sealed,
    projects.c.sealed_credential,
    hooks.c.sealed_secret,
    hooks.c.sealed_token,
    channels.c.sealed_secret,
)
_CHUNK = 500  # rows read at once


class Sealed:
    """The sealed columns of all tables; "" is nothing sealed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> Iterator[tuple[Column[str], str, str]]:
        """Yield column, id of the row, and sealed text."""
        for column in PLACES:
            after = ""
            while rows := self._chunk(column, after):
                yield from ((column, *row) for row in rows)
                after = rows[-1][0]

    def replace(self, column: Column[str], row: str, old: str, new: str) -> None:
        """Store the same text under another key, unless there is another text by now."""
        update = column.table.update().where(column.table.c.id == row, column == old)
        self._connection.execute(update.values({column.name: new}))

    def _chunk(self, column: Column[str], after: str) -> list[tuple[str, str]]:
        id_ = column.table.c.id
        query = select(id_, column).where(id_ > after, column != "").order_by(id_).limit(_CHUNK)
        return [(row[0], row[1]) for row in self._connection.execute(query)]
