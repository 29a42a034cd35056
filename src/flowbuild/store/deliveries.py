"""What webhooks delivered: stored before it is acknowledged, turned into runs afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, select, text

from flowbuild.store.codec import dump_mapping, load_mapping
from flowbuild.store.server_tables import deliveries, hooks, projects
from flowbuild.store.sharing import insert

RECEIVED, WAITING, DONE, IGNORED, FAILED = "received", "waiting", "done", "ignored", "failed"
_NONE = dump_mapping({})  # headers that were dropped


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery. `state`: received, waiting (for approval), done, ignored, failed; `result` says what followed from it.

    `next_at`: while it is received, nobody looks at it before. Lists of deliveries leave `headers` and `body` empty; whether
    they are still `kept` is known there, too.
    """

    id: str
    hook: str
    delivery: str
    event: str
    received_at: float
    headers: Mapping[str, str]
    body: bytes
    state: str = RECEIVED
    result: Mapping[str, Any] = field(default_factory=dict)
    tries: int = 0
    next_at: float = 0.0
    approved_by: str = ""
    approved_at: float | None = None
    project: str = ""
    hook_name: str = ""
    kept: bool = True


class Deliveries:
    """The `deliveries` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, row: DeliveryRow) -> bool:
        """Store a delivery; False when the webhook has it already."""
        return not self.add_all([row])

    def add_all(self, rows: Sequence[DeliveryRow]) -> Mapping[str, str]:
        """Store deliveries; of those that their webhooks have already return the ids of the stored ones, by their own."""
        # Always in the same order: two servers that get the same ones at once would wait for each other.
        values = [_values(row) for row in sorted(rows, key=lambda row: (row.hook, row.delivery))]
        statement = insert(self._connection, deliveries).on_conflict_do_nothing().returning(deliveries.c.id)
        stored = set(self._connection.execute(statement, values).scalars())
        return {row.id: self._known(row) for row in rows if row.id not in stored}

    def _known(self, row: DeliveryRow) -> str:
        c = deliveries.c
        query = select(c.id).where(c.hook_id == row.hook, c.delivery == row.delivery)
        return str(self._connection.execute(query).scalar_one())

    def get(self, identifier: str) -> DeliveryRow | None:
        """Return a delivery by the id of its row."""
        row = self._connection.execute(_query().where(deliveries.c.id == identifier)).mappings().first()
        return None if row is None else _row(row)

    def pending(self) -> Mapping[str, float]:
        """Return the projects of which deliveries wait, with the time when the first of each may be looked at.

        Deliveries of a project are looked at one after another, in the order in which they came: what is pushed later
        replaces what was pushed before, not the other way round.
        """
        c = deliveries.c
        first = select(c.received_at).where(c.hook_id == hooks.c.id, c.state == RECEIVED)
        first = first.order_by(c.received_at, c.id).limit(1)
        query = (
            select(
                projects.c.name,
                first.scalar_subquery().label("at"),
                first.with_only_columns(c.next_at).scalar_subquery(),
            )
            .select_from(hooks)
            .join(projects, projects.c.id == hooks.c.project_id)
            .order_by(text("at"))
        )
        found: dict[str, float] = {}
        for name, received_at, next_at in self._connection.execute(query):
            if received_at is not None:
                found.setdefault(name, next_at)
        return found

    def claim(self, project: str, now: float, until: float) -> DeliveryRow | None:
        """Take the first delivery of a project that waits, if it may be looked at; nobody else takes it before `until`."""
        c = deliveries.c
        row = self._first(project)
        if row is None or row["next_at"] > now:
            return None
        mine = (c.id == row["id"]) & (c.state == RECEIVED) & (c.next_at == row["next_at"])
        taken = self._connection.execute(deliveries.update().where(mine).values(next_at=until, tries=c.tries + 1))
        return replace(_row(row), next_at=until, tries=row["tries"] + 1) if taken.rowcount == 1 else None

    def _first(self, project: str) -> RowMapping | None:
        """Return the first delivery of a project that waits: one look into the index for each of its webhooks."""
        c = deliveries.c
        ids = select(hooks.c.id).join(projects, projects.c.id == hooks.c.project_id).where(projects.c.name == project)
        rows: list[RowMapping] = []
        for hook in self._connection.execute(ids).scalars().all():
            query = _query().where(c.hook_id == hook, c.state == RECEIVED).order_by(c.received_at, c.id).limit(1)
            rows += self._connection.execute(query).mappings().all()
        return min(rows, key=lambda row: (row["received_at"], row["id"]), default=None)

    def postpone(self, identifier: str, until: float, result: Mapping[str, Any]) -> None:
        """Look at a delivery again later; `result` says why."""
        values = {"next_at": until, "result": dump_mapping(dict(result))}
        self._connection.execute(deliveries.update().where(deliveries.c.id == identifier).values(**values))

    def settle(self, identifier: str, state: str, result: Mapping[str, Any]) -> None:
        """Store what followed from a delivery."""
        values = {"state": state, "result": dump_mapping(dict(result))}
        self._connection.execute(deliveries.update().where(deliveries.c.id == identifier).values(**values))

    def again(self, identifier: str, now: float) -> None:
        """Let a delivery be looked at anew."""
        values = {"state": RECEIVED, "next_at": now, "tries": 0}
        self._connection.execute(deliveries.update().where(deliveries.c.id == identifier).values(**values))

    def approve(self, identifier: str, by: str, now: float) -> None:
        """Store who allowed what a delivery asks for."""
        values = {"approved_by": by, "approved_at": now}
        self._connection.execute(deliveries.update().where(deliveries.c.id == identifier).values(**values))

    def waiting(self, hook: str) -> Sequence[DeliveryRow]:
        """Return the deliveries of a webhook that wait for approval, without headers and bodies."""
        query = _light().where(deliveries.c.hook_id == hook, deliveries.c.state == WAITING)
        return [_row({**row, "headers": _NONE, "body": b""}) for row in self._connection.execute(query).mappings()]

    def page(self, project: str, before: str | None, limit: int) -> Sequence[DeliveryRow]:
        """Return deliveries of a project, the newest first, from after the row `before` on; without headers and bodies."""
        query = _light().where(projects.c.name == project).order_by(deliveries.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(deliveries.c.id < before)
        return [_row({**row, "headers": _NONE, "body": b""}) for row in self._connection.execute(query).mappings()]

    def forget(self, before: float) -> None:
        """Drop headers and bodies of what came before a time and is settled; that it came stays known."""
        c = deliveries.c
        old = (c.received_at < before) & c.state.not_in((RECEIVED, WAITING)) & (c.body != b"")
        self._connection.execute(deliveries.update().where(old).values(headers=_NONE, body=b""))


def _values(row: DeliveryRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "hook_id": row.hook,
        "delivery": row.delivery,
        "event": row.event,
        "received_at": row.received_at,
        "headers": dump_mapping(dict(row.headers)),
        "body": row.body,
        "state": row.state,
        "result": dump_mapping(dict(row.result)),
        "next_at": row.next_at,
    }


def _light() -> Select[Any]:
    return _query(*(column for column in deliveries.c if column.name not in ("headers", "body")))


def _query(*columns: Any) -> Select[Any]:
    kept = ((deliveries.c.headers != _NONE) | (deliveries.c.body != b"")).label("kept")
    return (
        select(*(columns or deliveries.c), kept, projects.c.name.label("project"), hooks.c.name.label("hook_name"))
        .join(hooks, hooks.c.id == deliveries.c.hook_id)
        .join(projects, projects.c.id == hooks.c.project_id)
    )


def _row(row: Mapping[str, Any] | RowMapping) -> DeliveryRow:
    return DeliveryRow(
        id=row["id"],
        hook=row["hook_id"],
        delivery=row["delivery"],
        event=row["event"],
        received_at=row["received_at"],
        headers=load_mapping(row["headers"]),
        body=row["body"],
        state=row["state"],
        result=load_mapping(row["result"]),
        tries=row["tries"],
        next_at=row["next_at"],
        approved_by=row["approved_by"],
        approved_at=row["approved_at"],
        project=row["project"],
        hook_name=row["hook_name"],
        kept=bool(row["kept"]),
    )
