"""Logins of browsers that last: one row each, found by the hash of a cookie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, or_, select

from flowbuild.store.server_tables import sessions


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A login. `csrf_hash` is of the token that each change has to carry besides the cookie."""

    hash: str
    user_id: str
    csrf_hash: str
    created_at: float
    used_at: float
    expires_at: float
    address: str = ""
    agent: str = ""

    @property
    def label(self) -> str:
        """Return what people know the login by; it opens nothing."""
        return self.hash[:16]


class Sessions:
    """The `sessions` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, session: SessionRow) -> None:
        """Store a new login."""
        row = {name: getattr(session, name) for name in SessionRow.__slots__}
        self._connection.execute(sessions.insert().values(**row))

    def get(self, hash_: str) -> SessionRow | None:
        """Return the login of a cookie."""
        row = self._connection.execute(select(sessions).where(sessions.c.hash == hash_)).mappings().first()
        return None if row is None else SessionRow(**row)

    def used(self, hash_: str, now: float) -> None:
        """Note that a login was used."""
        self._connection.execute(sessions.update().where(sessions.c.hash == hash_).values(used_at=now))

    def of_user(self, user: str) -> Sequence[SessionRow]:
        """Return the logins of a person, the newest first."""
        query = select(sessions).where(sessions.c.user_id == user).order_by(sessions.c.created_at.desc())
        return [SessionRow(**row) for row in self._connection.execute(query).mappings()]

    def end(self, hash_: str) -> None:
        """Forget one login."""
        self._connection.execute(sessions.delete().where(sessions.c.hash == hash_))

    def end_all(self, user: str, *, but: str = "") -> None:
        """Forget the logins of a person, except one."""
        self._connection.execute(sessions.delete().where(sessions.c.user_id == user, sessions.c.hash != but))

    def sweep(self, now: float, unused_since: float) -> int:
        """Forget logins that are over or were not used since; return how many."""
        over = or_(sessions.c.expires_at <= now, sessions.c.used_at <= unused_since)
        return self._connection.execute(sessions.delete().where(over)).rowcount
