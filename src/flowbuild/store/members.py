"""Roles of people in projects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from flowbuild.core.access import Role
from flowbuild.store.server_tables import members, projects, users


@dataclass(frozen=True, slots=True)
class MemberRow:
    """One person in one project."""

    user_id: str
    name: str
    display_name: str
    role: Role


class Members:
    """The `members` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, project_id: str, user: str, role: Role) -> None:
        """Give a person a role, instead of the one they had."""
        self.remove(project_id, user)
        self._connection.execute(members.insert().values(project_id=project_id, user_id=user, role=role))

    def remove(self, project_id: str, user: str) -> None:
        """Take the role of a person away."""
        same = (members.c.project_id == project_id) & (members.c.user_id == user)
        self._connection.execute(members.delete().where(same))

    def of_project(self, project_id: str) -> Sequence[MemberRow]:
        """Return who has a role in a project, by name."""
        query = (
            select(users.c.id, users.c.name, users.c.display_name, members.c.role)
            .join_from(members, users, users.c.id == members.c.user_id)
            .where(members.c.project_id == project_id)
            .order_by(users.c.name)
        )
        return [
            MemberRow(row.id, row.name, row.display_name, Role(row.role)) for row in self._connection.execute(query)
        ]

    def roles(self, user: str) -> Mapping[str, Role]:
        """Return the roles of a person by name of the project."""
        query = (
            select(projects.c.name, members.c.role)
            .join_from(members, projects, projects.c.id == members.c.project_id)
            .where(members.c.user_id == user)
        )
        return {row.name: Role(row.role) for row in self._connection.execute(query)}
