"""What is to be told to others about a run or a commit, at least once. A row is deleted when there is nothing more to tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select

from flowbuild.core.ids import RunId
from flowbuild.store.codec import dump_mapping, load_mapping
from flowbuild.store.server_tables import notices, projects
from flowbuild.store.sharing import insert_once
from flowbuild.store.tables import runs


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice. `next_at` says when to look at it, None: not before the run changes. `tries`: those that failed in a row.

    Without a run it is about a commit, and the payload says everything.

    Who looks at one claims it first. A claim does not move `next_at`: so it is seen when the run changed meanwhile.
    """

    id: str
    kind: str
    run: RunId | None
    payload: Mapping[str, Any]
    next_at: float | None
    tries: int = 0
    error: str = ""


class Notices:
    """The `notices` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, notice: Notice) -> bool:
        """Store a notice; False when there is one with its id."""
        values = {
            "id": notice.id,
            "kind": notice.kind,
            "run_id": notice.run,
            "payload": dump_mapping(dict(notice.payload)),
            "next_at": notice.next_at,
        }
        return insert_once(self._connection, notices, values)

    def put(self, notice: Notice) -> None:
        """Store a notice instead of the one with its id, if there is one; who is telling that one is waited for."""
        values = {"payload": dump_mapping(dict(notice.payload)), "next_at": notice.next_at, "tries": 0, "error": ""}
        changed = self._connection.execute(notices.update().where(notices.c.id == notice.id).values(**values))
        if changed.rowcount == 0:
            self.add(notice)

    def touch(self, run: RunId, now: float) -> bool:
        """Let all notices of a run be looked at now: it changed. Returns whether there are any."""
        statement = notices.update().where(notices.c.run_id == run).values(next_at=now, tries=0)
        return self._connection.execute(statement).rowcount > 0

    def of_server(self, run: RunId) -> bool:
        """Whether a run is one of a project of the server; those of a directory have nobody to tell."""
        query = select(projects.c.id).join(runs, runs.c.project == projects.c.name).where(runs.c.id == run)
        return self._connection.execute(query).first() is not None

    def of_run(self, run: RunId) -> Sequence[Notice]:
        """Return the notices of a run."""
        rows = self._connection.execute(select(notices).where(notices.c.run_id == run).order_by(notices.c.id))
        return [_row(row) for row in rows.mappings()]

    def due(self, kind: str, now: float, limit: int) -> Sequence[Notice]:
        """Return notices of a kind that are to be looked at, and are not claimed; the earliest first."""
        query = select(notices).where(notices.c.kind == kind, notices.c.next_at <= now, _free(now))
        rows = self._connection.execute(query.order_by(notices.c.next_at, notices.c.id).limit(limit)).mappings()
        return [_row(row) for row in rows]

    def next_at(self, kind: str) -> float | None:
        """Return when the next notice of a kind is to be looked at."""
        c = notices.c
        earliest = case((c.claimed_until > c.next_at, c.claimed_until), else_=c.next_at)
        query = select(func.min(earliest)).where(c.kind == kind, c.next_at.is_not(None))
        return self._connection.execute(query).scalar()

    def claim(self, notice: Notice, now: float, until: float) -> bool:
        """Take a notice, so that nobody else looks at it before `until`; False when somebody was faster."""
        mine = _as_seen(notice) & _free(now)
        return self._connection.execute(notices.update().where(mine).values(claimed_until=until)).rowcount == 1

    def told(self, notice: Notice, payload: Mapping[str, Any]) -> None:
        """Give a notice back that was told; it is looked at again only if it was touched meanwhile."""
        self._connection.execute(
            notices.update()
            .where(notices.c.id == notice.id)
            .values(
                claimed_until=None,
                payload=dump_mapping(dict(payload)),
                tries=0,
                error="",
                next_at=case((_as_seen(notice), None), else_=notices.c.next_at),
            )
        )

    def failed(self, notice: Notice, error: str, next_at: float | None) -> None:
        """Give a notice back that could not be told; it is tried again at `next_at`, or when it is touched."""
        self._connection.execute(
            notices.update()
            .where(notices.c.id == notice.id)
            .values(
                claimed_until=None,
                tries=notice.tries + 1,
                error=error,
                next_at=case((_as_seen(notice), next_at), else_=notices.c.next_at),
            )
        )

    def finished(self, notice: Notice) -> None:
        """Delete a notice that was told for the last time; one that changed meanwhile is given back."""
        self._connection.execute(notices.delete().where(_as_seen(notice)))
        self._connection.execute(notices.update().where(notices.c.id == notice.id).values(claimed_until=None))

    def done(self, identifier: str) -> bool:
        """Delete a notice; False when it is gone already."""
        return self._connection.execute(notices.delete().where(notices.c.id == identifier)).rowcount == 1


def _free(now: float) -> ColumnElement[bool]:
    return or_(notices.c.claimed_until.is_(None), notices.c.claimed_until <= now)


def _as_seen(notice: Notice) -> ColumnElement[bool]:
    return and_(notices.c.id == notice.id, notices.c.next_at == notice.next_at)


def _row(row: Mapping[Any, Any]) -> Notice:
    run, payload = row["run_id"] and RunId(row["run_id"]), load_mapping(row["payload"])
    return Notice(row["id"], row["kind"], run, payload, row["next_at"], row["tries"], row["error"])
