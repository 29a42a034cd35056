"""Bots: one row each, found by the hash of its token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from flowbuild.store.chat_tables import bots
from flowbuild.store.sharing import insert_once


@dataclass(frozen=True, slots=True)
class BotRow:
    """A program that speaks to people on a network. `seen_at`: when it asked something last.

    `called`: by what name people find it on the network, "" until it said so.
    """

    id: str
    name: str
    network: str
    key_hash: str
    created_by: str
    created_at: float
    seen_at: float | None = None
    revoked_at: float | None = None
    called: str = ""


class Bots:
    """The `bots` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, bot: BotRow) -> bool:
        """Store a new bot, in the place of a revoked one of its name; False when the name is taken."""
        gone = (bots.c.name == bot.name) & bots.c.revoked_at.is_not(None)
        self._connection.execute(bots.delete().where(gone))
        return insert_once(self._connection, bots, {name: getattr(bot, name) for name in BotRow.__slots__})

    def by_hash(self, key_hash: str) -> BotRow | None:
        """Return a bot by the hash of what was sent."""
        row = self._connection.execute(select(bots).where(bots.c.key_hash == key_hash)).mappings().first()
        return None if row is None else BotRow(**row)

    def get(self, bot: str) -> BotRow | None:
        """Return a bot by id."""
        row = self._connection.execute(select(bots).where(bots.c.id == bot)).mappings().first()
        return None if row is None else BotRow(**row)

    def named(self, name: str) -> BotRow | None:
        """Return the bot of that name."""
        row = self._connection.execute(select(bots).where(bots.c.name == name)).mappings().first()
        return None if row is None else BotRow(**row)

    def all(self) -> Sequence[BotRow]:
        """Return all bots by name, those that were revoked, too."""
        return [BotRow(**row) for row in self._connection.execute(select(bots).order_by(bots.c.name)).mappings()]

    def seen(self, bot: str, now: float) -> None:
        """Note that a bot asked something."""
        self._connection.execute(bots.update().where(bots.c.id == bot).values(seen_at=now))

    def called(self, bot: str, called: str) -> None:
        """Store by what name people find a bot on its network."""
        self._connection.execute(bots.update().where(bots.c.id == bot).values(called=called))

    def revoke(self, bot: str, now: float) -> None:
        """Let the token of a bot open nothing from now on; the first time counts."""
        same = (bots.c.id == bot) & bots.c.revoked_at.is_(None)
        self._connection.execute(bots.update().where(same).values(revoked_at=now))
