"""Codes that link somebody on a chat network to an account: found by their hash, used once."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, or_, select

from flowbuild.store.chat_tables import link_codes


@dataclass(frozen=True, slots=True)
class LinkCodeRow:
    """A code of a person."""

    hash: str
    user_id: str
    created_at: float
    expires_at: float


class LinkCodes:
    """The `link_codes` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, code: LinkCodeRow) -> None:
        """Store the code of a person instead of the one before; forget those of others that are over, too."""
        c = link_codes.c
        self._connection.execute(
            link_codes.delete().where(or_(c.user_id == code.user_id, c.expires_at <= code.created_at))
        )
        row = {name: getattr(code, name) for name in LinkCodeRow.__slots__}
        self._connection.execute(link_codes.insert().values(**row))

    def take(self, hash_: str, now: float) -> str | None:
        """Return whose code it is that is good now, and forget it: of two who have it only one gets an answer."""
        c = link_codes.c
        row = self._connection.execute(select(c.user_id, c.expires_at).where(c.hash == hash_)).first()
        if row is None or self._connection.execute(link_codes.delete().where(c.hash == hash_)).rowcount != 1:
            return None
        return str(row.user_id) if now < row.expires_at else None
