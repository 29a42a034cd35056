"""Webhooks of projects: who may tell that something happened, and how that is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, select

from flowbuild.store.codec import dump_mapping, load_mapping
from flowbuild.store.server_tables import hooks, projects
from flowbuild.store.sharing import insert_once


@dataclass(frozen=True, slots=True)
class HookRow:
    """A webhook. `mapping` is that of a generic one (see `forges.generic.Mapped`); `api_url` is empty for the usual one.

    `repository` is what the forge called it in its last delivery.
    """

    id: str
    project_id: str
    project: str
    kind: str
    name: str
    created_at: float
    sealed_secret: str
    sealed_token: str = ""
    api_url: str = ""
    mapping: Mapping[str, Any] = field(default_factory=dict)
    repository: str = ""


class Hooks:
    """The `hooks` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, row: HookRow) -> bool:
        """Store a webhook; False when the project has one of that name."""
        return insert_once(
            self._connection,
            hooks,
            {
                "id": row.id,
                "project_id": row.project_id,
                "kind": row.kind,
                "name": row.name,
                "api_url": row.api_url,
                "sealed_secret": row.sealed_secret,
                "sealed_token": row.sealed_token,
                "mapping": dump_mapping(dict(row.mapping)),
                "created_at": row.created_at,
            },
        )

    def find(self, project: str, name: str) -> HookRow | None:
        """Return the webhook of that name of a project that is not archived."""
        query = _query().where(projects.c.name == project, projects.c.archived_at.is_(None), hooks.c.name == name)
        row = self._connection.execute(query).mappings().first()
        return None if row is None else _row(row)

    def get(self, identifier: str) -> HookRow | None:
        """Return a webhook by its id."""
        row = self._connection.execute(_query().where(hooks.c.id == identifier)).mappings().first()
        return None if row is None else _row(row)

    def of_project(self, project: str) -> Sequence[HookRow]:
        """Return the webhooks of a project by name."""
        query = _query().where(projects.c.name == project).order_by(hooks.c.name)
        return [_row(row) for row in self._connection.execute(query).mappings()]

    def all(self) -> Sequence[HookRow]:
        """Return the webhooks of all projects."""
        return [_row(row) for row in self._connection.execute(_query()).mappings()]

    def change(self, row: HookRow) -> None:
        """Store what can change of a webhook: secret, token, address of the forge, mapping."""
        self._connection.execute(
            hooks.update()
            .where(hooks.c.id == row.id)
            .values(
                api_url=row.api_url,
                sealed_secret=row.sealed_secret,
                sealed_token=row.sealed_token,
                mapping=dump_mapping(dict(row.mapping)),
            )
        )

    def speaks_of(self, identifier: str, repository: str) -> None:
        """Store what the forge calls the repository."""
        c = hooks.c
        mine = (c.id == identifier) & (c.repository != repository)
        self._connection.execute(hooks.update().where(mine).values(repository=repository))

    def remove(self, identifier: str) -> None:
        """Delete a webhook with all its deliveries."""
        self._connection.execute(hooks.delete().where(hooks.c.id == identifier))


def _query() -> Select[Any]:
    return select(hooks, projects.c.name.label("project")).join(projects, projects.c.id == hooks.c.project_id)


def _row(row: RowMapping) -> HookRow:
    return HookRow(
        id=row["id"],
        project_id=row["project_id"],
        project=row["project"],
        kind=row["kind"],
        name=row["name"],
        created_at=row["created_at"],
        sealed_secret=row["sealed_secret"],
        sealed_token=row["sealed_token"],
        api_url=row["api_url"],
        mapping=load_mapping(row["mapping"]),
        repository=row["repository"],
    )
