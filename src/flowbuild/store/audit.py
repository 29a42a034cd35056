"""The audit log: rows are only added, and each holds the hash of the one before.

Whoever changes, removes or inserts a row has to write all later ones anew; and then the hash of the last row is another
one than who noted it elsewhere (a backup, a log of the server) remembers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from flowbuild.store.codec import dump_mapping, load_mapping
from flowbuild.store.server_tables import audit
from flowbuild.store.sharing import serialise

FIRST = "0" * 64  # what the first row holds as the hash before it
_CHUNK = 1000  # rows read at once


@dataclass(frozen=True, slots=True)
class AuditRow:
    """Who did what to what, from where, and with what proof (`token:ID`, `session:ID`, `chat:NETWORK/SENDER`).

    `project_id`: whose maintainers may read it, and not those of a later project of the same name; "": admins alone may.
    """

    seq: int
    at: float
    actor: str
    action: str
    object: str
    detail: Mapping[str, Any]
    address: str
    via: str
    project: str
    project_id: str
    previous_hash: str
    hash: str


class Audit:
    """The `audit` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._noted: list[dict[str, Any]] = []

    def append(
        self,
        at: float,
        actor: str,
        action: str,
        object_: str,
        *,
        detail: Mapping[str, Any] | None = None,
        address: str = "",
        via: str = "",
        project: str = "",
        project_id: str = "",
    ) -> None:
        """Add a row, in the transaction of what it tells, when that ends."""
        row = {
            "at": float(at),
            "actor": actor[:128],
            "action": action,
            "object": object_[:256],
            "detail": dump_mapping(dict(detail or {})),
            "address": address[:64],
            "via": via[:300],
            "project": project,
            "project_id": project_id,
        }
        self._noted.append(row)

    def write(self) -> None:
        """Write what was noted, as the last thing of a transaction: until it ends, all others that note something wait."""
        if not self._noted:
            return
        serialise(self._connection, "audit")
        seq, previous = self.last()
        for row in self._noted:
            seq += 1
            row |= {"seq": seq, "previous_hash": previous}
            row["hash"] = previous = _hash(row)
        self._connection.execute(audit.insert(), self._noted)
        self._noted = []

    def last(self) -> tuple[int, str]:
        """Return number and hash of the newest row."""
        query = select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)
        row = self._connection.execute(query).first()
        return (0, FIRST) if row is None else (row.seq, row.hash)

    def hash_of(self, seq: int) -> str:
        """Return the hash of a row; "" when it is not there."""
        return self._connection.execute(select(audit.c.hash).where(audit.c.seq == seq)).scalar() or ""

    def happened(self, project_id: str, action: str, object_: str, since: float) -> bool:
        """Whether something was done to a thing of a project at some time or later."""
        c = audit.c
        same = (c.project_id == project_id) & (c.action == action) & (c.object == object_) & (c.at >= since)
        return self._connection.execute(select(c.seq).where(same).limit(1)).first() is not None

    def page(
        self, *, before: int | None, limit: int, project_id: str | None = None, actor: str = "", action: str = ""
    ) -> Sequence[AuditRow]:
        """Return rows, the newest first: those before a number, of a project by id (None: of all), an actor, an action."""
        query = select(audit).order_by(audit.c.seq.desc()).limit(limit)
        wanted = {audit.c.project_id: project_id, audit.c.actor: actor or None, audit.c.action: action or None}
        for column, value in wanted.items():
            if value is not None:
                query = query.where(column == value)
        if before is not None:
            query = query.where(audit.c.seq < before)
        rows = self._connection.execute(query).mappings()
        return [AuditRow(**{**row, "detail": load_mapping(row["detail"])}) for row in rows]

    def broken(self) -> str:
        """Return what is wrong with the first row that is not as it was written; "" when all are."""
        seq, previous = 0, FIRST
        for row in self._all():
            if row["seq"] != seq + 1:
                return f"row {seq + 1} is missing"
            if row["previous_hash"] != previous:
                return f"row {row['seq']} does not follow the row before it"
            if row["hash"] != _hash(row):
                return f"row {row['seq']} was changed"
            seq, previous = row["seq"], row["hash"]
        return ""

    def _all(self) -> Iterator[Mapping[str, Any]]:
        after = -1
        while (
            rows := self._connection.execute(
                select(audit).where(audit.c.seq > after).order_by(audit.c.seq).limit(_CHUNK)
            )
            .mappings()
            .all()
        ):
            yield from ({**row} for row in rows)
            after = rows[-1]["seq"]


def _hash(row: Mapping[str, Any]) -> str:
    parts = [row["seq"], row["at"], row["actor"], row["action"], row["object"], row["detail"], row["address"]]
    told = json.dumps([*parts, row["via"], row["project"], row["project_id"], row["previous_hash"]])
    return hashlib.sha256(told.encode()).hexdigest()
