"""API tokens: one row each, found by the hash of the token."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, select

from flowbuild.store.server_tables import projects, tokens


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token of a person. `project`: the name of the only one that it opens; `hint`: its last characters."""

    id: str
    hash: str
    hint: str
    name: str
    user_id: str
    scopes: tuple[str, ...]
    created_at: float
    expires_at: float | None = None
    project: str | None = None
    used_at: float | None = None
    revoked_at: float | None = None


class Tokens:
    """The `tokens` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, token: TokenRow, project_id: str | None) -> None:
        """Store a new token, bound to a project or to none."""
        row = {name: getattr(token, name) for name in TokenRow.__slots__ if name != "project"}
        row |= {"scopes": json.dumps(token.scopes), "project_id": project_id}
        self._connection.execute(tokens.insert().values(**row))

    def by_hash(self, hash_: str) -> TokenRow | None:
        """Return a token by the hash of what was sent."""
        row = self._connection.execute(_tokens().where(tokens.c.hash == hash_)).mappings().first()
        return None if row is None else _token(row)

    def get(self, token: str) -> TokenRow | None:
        """Return a token by id."""
        row = self._connection.execute(_tokens().where(tokens.c.id == token)).mappings().first()
        return None if row is None else _token(row)

    def of_user(self, user: str) -> Sequence[TokenRow]:
        """Return the tokens of a person, the newest first."""
        query = _tokens().where(tokens.c.user_id == user).order_by(tokens.c.id.desc())
        return [_token(row) for row in self._connection.execute(query).mappings()]

    def used(self, token: str, now: float) -> None:
        """Note that a token was used."""
        self._connection.execute(tokens.update().where(tokens.c.id == token).values(used_at=now))

    def revoke(self, token: str, now: float) -> None:
        """Let a token open nothing from now on; the first time counts."""
        same = (tokens.c.id == token) & tokens.c.revoked_at.is_(None)
        self._connection.execute(tokens.update().where(same).values(revoked_at=now))


def _tokens() -> Select[Any]:
    columns = [tokens.c[name] for name in TokenRow.__slots__ if name != "project"]
    return select(*columns, projects.c.name.label("project")).join_from(
        tokens, projects, projects.c.id == tokens.c.project_id, isouter=True
    )


def _token(row: RowMapping) -> TokenRow:
    return TokenRow(**{**row, "scopes": tuple(json.loads(row["scopes"]))})
