"""Kinds of queued attempts: those of a kind differ in nothing but their age, so only the oldest of each need be looked at.

What an attempt is like is told by its run, by what it needs, and by who has its workspace. A hash of all that is kept with
it, and an index leads from one kind to the next, so finding the heads of the queue costs the same however long it is.
"""

from __future__ import annotations

import hashlib
import json

from sqlalchemy import Connection, Row, Select, select

from flowbuild.core.ids import RunId
from flowbuild.store.tables import attempts, runs

_OF_RUN = (runs.c.project, runs.c.priority, runs.c.network, runs.c.owner, runs.c.served)


def kind_of(connection: Connection, run: RunId, needs: str, warm: str) -> str:
    """Return the kind of an attempt of a run; `needs` and `warm` as they are stored."""
    return _kind(connection.execute(_about(run)).one(), needs, warm)


def sort_anew(connection: Connection, run: RunId) -> None:
    """Keep of which kinds the queued attempts of a run are, after something of the run has changed that makes a difference."""
    about, c = connection.execute(_about(run)).one(), attempts.c
    queued = (c.run_id == run) & (c.state == "queued")
    for needs, warm in connection.execute(select(c.needs, c.warm).where(queued).distinct()).all():
        alike = queued & (c.needs == needs) & (c.warm == warm)
        connection.execute(attempts.update().where(alike).values(kind=_kind(about, needs, warm)))


def _about(run: RunId) -> Select[tuple[str, int, str, str, int]]:
    return select(*_OF_RUN).where(runs.c.id == run)


def _kind(about: Row[tuple[str, int, str, str, int]], needs: str, warm: str) -> str:
    return hashlib.sha256(json.dumps([*about, needs, warm]).encode()).hexdigest()[:16]
