"""Where people are told what happened: channels of projects, and of persons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, and_, bindparam, exists, or_, select

from flowbuild.core.notifying import Rule
from flowbuild.store.chat_tables import channels
from flowbuild.store.codec import dump_rule, load_rule
from flowbuild.store.server_tables import members, projects, users
from flowbuild.store.sharing import insert_once
from flowbuild.store.users import ADMIN


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """A channel: of a project (`project_id`, `project` is its name) or of a person (`user_id`, `user`).

    `target`: e-mail addresses with commas between, a URL, a room; of a person it may be empty: the one that is known of them.
    """

    id: str
    name: str
    kind: str
    target: str
    created_by: str
    created_at: float
    project_id: str | None = None
    user_id: str | None = None
    rule: Rule = field(default_factory=Rule)
    sealed_secret: str = field(default="", repr=False)
    disabled_at: float | None = None
    project: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class ChannelOwner:
    """Whose channels: of a project by its name, or of a person by the id of the user."""

    project: str = ""
    user_id: str = ""


class Channels:
    """The `channels` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, row: ChannelRow) -> bool:
        """Store a channel; False when the project or the person has one of that name."""
        fixed = {
            name: getattr(row, name) for name in ("id", "kind", "created_by", "created_at", "project_id", "user_id")
        }
        return insert_once(self._connection, channels, {**fixed, "name": row.name, **_changing(row)})

    def get(self, identifier: str) -> ChannelRow | None:
        """Return a channel by its id."""
        return self._first(channels.c.id == identifier)

    def find(self, owner: ChannelOwner, name: str) -> ChannelRow | None:
        """Return the channel of that name."""
        return self._first(_of(owner), channels.c.name == name)

    def of(self, owner: ChannelOwner) -> Sequence[ChannelRow]:
        """Return the channels of a project or a person, by name."""
        query = _query().where(_of(owner)).order_by(channels.c.name)
        return [_row(row) for row in self._connection.execute(query).mappings()]

    def listening(self, project: str) -> Sequence[ChannelRow]:
        """Return the channels that may be told of what happens in a project: its own, those of its people and of admins."""
        query = _query().where(_PROJECT.is_not(None), _listens(_PROJECT)).order_by(channels.c.id)
        return [_row(row) for row in self._connection.execute(query, {"project": project}).mappings()]

    def any_listening(self, project: str) -> bool:
        """Whether there is a channel that may be told of what happens in a project of the server."""
        return self._connection.execute(_ANY_LISTENING, {"project": project}).first() is not None

    def change(self, row: ChannelRow) -> None:
        """Store what can change of a channel: target, rule, secret, whether it is disabled."""
        self._connection.execute(channels.update().where(channels.c.id == row.id).values(**_changing(row)))

    def remove(self, identifier: str) -> None:
        """Delete a channel, with all it was told."""
        self._connection.execute(channels.delete().where(channels.c.id == identifier))

    def _first(self, *conditions: ColumnElement[bool]) -> ChannelRow | None:
        row = self._connection.execute(_query().where(*conditions)).mappings().first()
        return None if row is None else _row(row)


def _of(owner: ChannelOwner) -> ColumnElement[bool]:
    return projects.c.name == owner.project if owner.project else channels.c.user_id == owner.user_id


def _listens(project_id: Any) -> ColumnElement[bool]:
    """Return the condition that a channel may be told of what happens in a project: its own, and those of its people and of admins."""
    member = exists().where(members.c.project_id == project_id, members.c.user_id == users.c.id).correlate(users)
    people = select(users.c.id).where(users.c.disabled_at.is_(None), or_(users.c.role == ADMIN, member))
    theirs = or_(channels.c.project_id == project_id, channels.c.user_id.in_(people))
    return and_(channels.c.disabled_at.is_(None), theirs)


# Asked at the beginning and the end of every run: to put it together takes longer than to answer it.
_PROJECT = select(projects.c.id).where(projects.c.name == bindparam("project")).scalar_subquery()
_ANY_LISTENING = select(channels.c.id).where(_PROJECT.is_not(None), _listens(_PROJECT)).limit(1)


def _query() -> Select[Any]:
    return (
        select(channels, projects.c.name.label("project"), users.c.name.label("user"))
        .outerjoin(projects, projects.c.id == channels.c.project_id)
        .outerjoin(users, users.c.id == channels.c.user_id)
    )


def _changing(row: ChannelRow) -> dict[str, Any]:
    return {
        "target": row.target,
        "rule": dump_rule(row.rule),
        "sealed_secret": row.sealed_secret,
        "disabled_at": row.disabled_at,
    }


def _row(row: RowMapping) -> ChannelRow:
    return ChannelRow(
        id=row["id"],
        name=row["name"],
        kind=row["kind"],
        target=row["target"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        project_id=row["project_id"],
        user_id=row["user_id"],
        rule=load_rule(row["rule"]),
        sealed_secret=row["sealed_secret"],
        disabled_at=row["disabled_at"],
        project=row["project"] or "",
        user=row["user"] or "",
    )
