"""Secrets of projects, sealed; what is in them only `vault` can tell."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, select

from flowbuild.core.scoping import SecretScope
from flowbuild.store.server_tables import secrets


@dataclass(frozen=True, slots=True)
class SecretRow:
    """One value of a name, and for which steps it is."""

    id: str
    project_id: str
    name: str
    scope: SecretScope
    sealed: str
    version: int
    created_by: str
    created_at: float
    updated_at: float
    used_at: float | None = None

    @property
    def about(self) -> tuple[str, ...]:
        """Return what the sealed text belongs to: elsewhere it does not open."""
        return ("secret", self.project_id, self.id, self.name, str(self.version))


class Secrets:
    """The `secrets` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, secret: SecretRow) -> None:
        """Store a secret; one of the same id is replaced."""
        self._connection.execute(secrets.delete().where(secrets.c.id == secret.id))
        row = {name: getattr(secret, name) for name in SecretRow.__slots__ if name != "scope"}
        scope = {
            "environment": secret.scope.environment,
            "branches": secret.scope.branches,
            "steps": json.dumps(secret.scope.steps),
        }
        self._connection.execute(secrets.insert().values(**row, **scope))

    def of_project(self, project_id: str, names: Iterable[str] | None = None) -> Sequence[SecretRow]:
        """Return the secrets of a project, those of some names or all."""
        c = secrets.c
        query = select(secrets).where(c.project_id == project_id).order_by(c.name, c.environment, c.branches)
        if names is not None:
            query = query.where(c.name.in_(list(names)))
        return [_secret(row) for row in self._connection.execute(query).mappings()]

    def used(self, ids: Iterable[str], now: float) -> None:
        """Note that secrets were given to a step."""
        self._connection.execute(secrets.update().where(secrets.c.id.in_(list(ids))).values(used_at=now))

    def remove(self, secret: str) -> None:
        """Forget a secret."""
        self._connection.execute(secrets.delete().where(secrets.c.id == secret))


def _secret(row: RowMapping) -> SecretRow:
    kept = {name: row[name] for name in SecretRow.__slots__ if name != "scope"}
    scope = SecretScope(row["environment"], row["branches"], tuple(json.loads(row["steps"])))
    return SecretRow(**kept, scope=scope)
