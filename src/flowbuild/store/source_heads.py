"""Where branches, tags and pull requests of projects were when somebody looked or told it last.

Names are those of git (`refs/heads/main`); of a pull request `pull/HOOK/NUMBER`, with its newest commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select

from flowbuild.store.server_tables import source_heads


@dataclass(frozen=True, slots=True)
class Head:
    """A commit, empty for a ref that is gone, and when that was seen first.

    `found`: the delivery that a look made of it, because none had come until then; see `services.missed`.
    """

    commit: str
    seen_at: float
    found: str = ""


class SourceHeads:
    """The `source_heads` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of_project(self, project_id: str) -> Mapping[str, Head]:
        """Return what is known of a project by whole name of the ref; nothing when it was never looked at."""
        c = source_heads.c
        rows = self._connection.execute(select(c.ref, c.commit, c.seen_at, c.found).where(c.project_id == project_id))
        return {row.ref: Head(row.commit, row.seen_at, row.found) for row in rows}

    def get(self, project_id: str, ref: str) -> Head | None:
        """Return what is known of one ref."""
        c = source_heads.c
        query = select(c.commit, c.seen_at, c.found).where(c.project_id == project_id, c.ref == ref)
        row = self._connection.execute(query).first()
        return None if row is None else Head(row.commit, row.seen_at, row.found)

    def projects(self) -> frozenset[str]:
        """Return the ids of the projects of which something is known."""
        return frozenset(self._connection.execute(select(source_heads.c.project_id).distinct()).scalars())

    def forget(self, project_id: str, beginning: str = "") -> None:
        """Forget what is known of a project, or only of the refs that begin like that."""
        c = source_heads.c
        mine = (c.project_id == project_id) & c.ref.startswith(beginning, autoescape=True)
        self._connection.execute(source_heads.delete().where(mine))

    def move(self, project_id: str, ref: str, commit: str, now: float, found: str = "") -> None:
        """Store where a ref is now; an empty commit: it is gone, which is worth knowing when it comes back."""
        c = source_heads.c
        self._connection.execute(source_heads.delete().where(c.project_id == project_id, c.ref == ref))
        values = {"project_id": project_id, "ref": ref, "commit": commit, "seen_at": now, "found": found}
        self._connection.execute(source_heads.insert().values(**values))
