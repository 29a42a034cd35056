"""How many attempts each server runs at once by itself, told to the others over the same database."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, func, select

from flowbuild.store.server_tables import server_places

FORGOTTEN = 7 * 86_400.0  # seconds after which the row of a server that does not live any more goes


class Places:
    """The `server_places` table: a row for each life of a server that has a runner of its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def offer(self, owner: str, capacity: int, *, living: Collection[str], now: float) -> None:
        """Tell what a server can do. Rows of lives that ended long ago go."""
        old = (server_places.c.since < now - FORGOTTEN) & server_places.c.owner.not_in([*living, owner])
        self._connection.execute(server_places.delete().where(old))
        self._connection.execute(server_places.insert().values(owner=owner, capacity=capacity, since=now))

    def of(self, owners: Collection[str]) -> tuple[int, int]:
        """Return how many attempts servers can run at once, and how many servers do so."""
        query = select(func.coalesce(func.sum(server_places.c.capacity), 0), func.count())
        places, servers = self._connection.execute(query.where(server_places.c.owner.in_(list(owners)))).one()
        return int(places), int(servers)
