"""Pipelines of which nothing begins, because somebody holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, Select, select

from flowbuild.store.chat_tables import holds
from flowbuild.store.runs import beginning
from flowbuild.store.server_tables import projects
from flowbuild.store.sharing import insert_once, serialise


@dataclass(frozen=True, slots=True)
class HoldRow:
    """Who holds a pipeline of a project, since when and why. `project`: its name."""

    project: str
    pipeline: str
    held_by: str
    at: float
    reason: str = ""


class Holds:
    """The `holds` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, project_id: str, hold: HoldRow) -> bool:
        """Hold a pipeline; False when somebody does already. Nothing begins once this is committed: what is about to is waited for."""
        serialise(self._connection, beginning(hold.project))
        values = {name: getattr(hold, name) for name in HoldRow.__slots__ if name != "project"}
        return insert_once(self._connection, holds, {**values, "project_id": project_id})

    def remove(self, project_id: str, pipeline: str) -> bool:
        """Let a pipeline go; False when nobody held it."""
        same = (holds.c.project_id == project_id) & (holds.c.pipeline == pipeline)
        return self._connection.execute(holds.delete().where(same)).rowcount == 1

    def get(self, project: str, pipeline: str) -> HoldRow | None:
        """Return the hold of a pipeline, by the name of its project."""
        query = _query().where(projects.c.name == project, holds.c.pipeline == pipeline)
        row = self._connection.execute(query).mappings().first()
        return None if row is None else _row(row)

    def of_project(self, project: str) -> Sequence[HoldRow]:
        """Return the holds of a project by pipeline."""
        query = _query().where(projects.c.name == project).order_by(holds.c.pipeline)
        return [_row(row) for row in self._connection.execute(query).mappings()]


def _query() -> Select[tuple[object, ...]]:
    return select(holds, projects.c.name.label("project")).join_from(
        holds, projects, projects.c.id == holds.c.project_id
    )


def _row(row: RowMapping) -> HoldRow:
    return HoldRow(**{name: row[name] for name in HoldRow.__slots__})
