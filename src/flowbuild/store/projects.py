"""Projects. Their credentials are sealed; nobody here can read them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, RowMapping, select
from sqlalchemy.exc import IntegrityError

from flowbuild.core.access import no_project
from flowbuild.core.errors import Conflict, NotFound
from flowbuild.core.project import ProjectSettings, Visibility
from flowbuild.store.server_tables import projects

_settings: TypeAdapter[ProjectSettings] = TypeAdapter(ProjectSettings)


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """A project as it is stored. `default_branch` is empty when the one of the remote counts."""

    id: str
    name: str
    url: str
    created_at: float
    default_branch: str = ""
    visibility: Visibility = Visibility.PRIVATE
    settings: ProjectSettings = field(default_factory=ProjectSettings)
    sealed_credential: str = field(default="", repr=False)
    fetched_at: float | None = None
    fetch_error: str = ""
    archived_at: float | None = None


class Projects:
    """The `projects` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, row: ProjectRow) -> None:
        """Insert a new project; raises Conflict when the name is taken."""
        try:
            self._connection.execute(projects.insert().values(**_values(row)))
        except IntegrityError as error:
            raise Conflict(f"there is a project {row.name!r} already", hint="give the new one another name") from error

    def get(self, name: str) -> ProjectRow:
        """Return a project by name; raises NotFound."""
        query = select(projects).where(projects.c.name == name)
        found = self._connection.execute(query).mappings().first() if name.isprintable() else None  # PostgreSQL: no NUL
        if found is None:
            raise no_project(name)
        return _row(found)

    def by_id(self, project_id: str) -> ProjectRow:
        """Return a project by id; raises NotFound."""
        found = self._connection.execute(select(projects).where(projects.c.id == project_id)).mappings().first()
        if found is None:
            raise NotFound("the project does not exist any more")
        return _row(found)

    def list(self, names: Collection[str] | None = None, *, archived: bool = False) -> Sequence[ProjectRow]:
        """Return projects by name, of all or of some; archived ones only when asked for."""
        query = select(projects).order_by(projects.c.name)
        if names is not None:
            query = query.where(projects.c.name.in_(names))
        if not archived:
            query = query.where(projects.c.archived_at.is_(None))
        return [_row(found) for found in self._connection.execute(query).mappings()]

    def identity(self, name: str) -> str:
        """Return the id of the project of that name; "" when the server has none."""
        return self._connection.execute(select(projects.c.id).where(projects.c.name == name)).scalar() or ""

    def save(self, row: ProjectRow) -> None:
        """Store what people may change about a project; id and name stay."""
        fixed = {"id", "name", "created_at", "fetched_at", "fetch_error"}
        values = {name: value for name, value in _values(row).items() if name not in fixed}
        self._connection.execute(projects.update().where(projects.c.id == row.id).values(**values))

    def fetched(self, project_id: str, at: float | None, error: str) -> None:
        """Record a fetch: when it worked, or else why not (`at` None: the last good one stays)."""
        values: dict[str, Any] = {"fetch_error": error} | ({} if at is None else {"fetched_at": at})
        self._connection.execute(projects.update().where(projects.c.id == project_id).values(**values))

    def delete(self, project_id: str) -> None:
        """Delete a project with its secrets, hooks, schedules and members; not its runs."""
        self._connection.execute(projects.delete().where(projects.c.id == project_id))


def _values(row: ProjectRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "url": row.url,
        "sealed_credential": row.sealed_credential,
        "default_branch": row.default_branch,
        "visibility": row.visibility.value,
        "settings": _settings.dump_json(row.settings).decode(),
        "fetched_at": row.fetched_at,
        "fetch_error": row.fetch_error,
        "created_at": row.created_at,
        "archived_at": row.archived_at,
    }


def _row(found: RowMapping) -> ProjectRow:
    return ProjectRow(
        id=found["id"],
        name=found["name"],
        url=found["url"],
        created_at=found["created_at"],
        default_branch=found["default_branch"],
        visibility=Visibility(found["visibility"]),
        settings=_settings.validate_json(found["settings"]),
        sealed_credential=found["sealed_credential"],
        fetched_at=found["fetched_at"],
        fetch_error=found["fetch_error"],
        archived_at=found["archived_at"],
    )
