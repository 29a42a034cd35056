"""The audit log: who did what, for people to read; and whether somebody tampered with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowbuild.store.audit import AuditRow
from flowbuild.store.database import Database, Transaction
from flowbuild.store.runs import RunRow

LONGEST = 1000  # characters of a text, like a comment; the run keeps all of it


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, by name, from which address, and with what proof (`token:ID`, `session:ID`, `chat:NETWORK/SENDER`).

    No proof: the user of this machine, who needs none, or the server itself.
    """

    name: str
    address: str = ""
    via: str = ""


NOBODY = Actor("")  # who only looks


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look at the whole log gave: its newest row, and what is wrong ("" when nothing is)."""

    rows: int
    hash: str
    problem: str


def note(
    tx: Transaction,
    at: float,
    actor: Actor,
    action: str,
    object_: str,
    *,
    project: str = "",
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Add a row in the transaction of what it tells: neither happens without the other."""
    tx.audit.append(
        at,
        actor.name,
        action,
        object_,
        detail=detail,
        address=actor.address,
        via=actor.via,
        project=project,
        project_id=tx.projects.identity(project) if project else "",
    )


def note_begun(tx: Transaction, at: float, by: Actor, row: RunRow) -> None:
    """Note that somebody began a run; see `note_steered`."""
    context = row.run.context
    told = {"branch": context.branch, "tag": context.tag, "commit": context.commit, "of": row.run.rerun_of}
    action = "run.rerun" if row.run.rerun_of else "run.start"
    note_steered(tx, at, by, action, row, detail={name: each for name, each in told.items() if each})


def note_steered(tx: Transaction, at: float, by: Actor, action: str, row: RunRow, *, detail: Mapping[str, Any]) -> None:
    """Note what somebody did with a run who has shown a token or login; who needs none is not worth a line each time."""
    if by.via:
        cut = {name: each[:LONGEST] if isinstance(each, str) else each for name, each in detail.items()}
        told = {"pipeline": row.run.pipeline.name, "number": row.number, **cut}
        note(tx, at, by, action, f"run:{row.run.id}", project=row.project, detail=told)


class AuditLog:
    """Reads the log. Blocking: call from threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self, *, before: int | None, limit: int, project: str | None, actor: str = "", action: str = ""
    ) -> Sequence[AuditRow]:
        """Return rows, the newest first, those before a number; `project` None: of all projects and of the server.

        Raises NotFound for a project that is not there (any more).
        """
        if not f"{actor}{action}".isprintable():
            return ()  # of nobody; PostgreSQL would refuse a NUL
        with self._database.read() as tx:
            project_id = None if project is None else tx.projects.get(project).id
            return tx.audit.page(before=before, limit=limit, project_id=project_id, actor=actor, action=action)

    def verify(self, noted: tuple[int, str] | None = None) -> Verdict:
        """Look at every row; `noted`: number and hash of a row that somebody wrote down, which must still be there."""
        with self._database.read() as tx:
            rows, newest = tx.audit.last()
            problem = tx.audit.broken()
            if not problem and noted is not None and tx.audit.hash_of(noted[0]) != noted[1]:
                problem = f"row {noted[0]} is not the one that was noted: the log was written anew, or cut"
        return Verdict(rows, newest, problem)
