"""How transactions that write at the same time keep out of each other's way on PostgreSQL.

SQLite has one writer at a time; there everything here is done already.

Whoever decides about a run locks its row first and keeps it to the end, so its events, attempts, timers and effects change
in one transaction at a time. Two transactions never wait for each other, because locks are taken in this order:

1. what `serialise` names, apart from the lines of environments;  2. one run;  3. the lines of environments;
4. the audit log, which is written when all else is done.

Whoever has a run already takes another one only when it is free at once (`wait=False`). Whoever looks at one run after
another for something to do gives each back that had nothing (`savepoint`) before waiting for the next.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Select, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite

from flowbuild.core.ids import RunId
from flowbuild.store.tables import runs

_SPACE = (
    0x666C6F77  # the first half of our advisory locks of transactions; those of owners have one number (`presence`)
)


def side_by_side(connection: Connection) -> bool:
    """Whether other transactions may write while this one does."""
    return connection.dialect.name == "postgresql"


def lock_run(connection: Connection, run: RunId, *, wait: bool = True) -> bool:
    """Let nobody else decide about a run until this transaction ends; False when there is none that can be had."""
    if not side_by_side(connection):
        return True
    return connection.execute(locking(select(runs.c.id).where(runs.c.id == run), wait=wait)).first() is not None


@contextmanager
def savepoint(connection: Connection) -> Iterator[Callable[[], None]]:
    """Yield what undoes the changes made in here, and gives back what was locked for them."""
    with connection.begin_nested() as nested:
        yield nested.rollback


def locking(query: Select[Any], *, wait: bool = True) -> Select[Any]:
    """Return a query that locks the runs it finds; rows that refer to them may still be added by others.

    Without `wait` it finds no run that another transaction has. SQLite gets the query as it was.
    """
    return query.with_for_update(of=runs, key_share=True, skip_locked=not wait)


def serialise(connection: Connection, what: str, *, wait: bool = True) -> bool:
    """Let transactions that name the same thing come one after another; False when `wait` is not and another one is at it."""
    if not side_by_side(connection):
        return True
    key = int.from_bytes(hashlib.sha256(what.encode()).digest()[:4], signed=True)
    if wait:
        connection.execute(select(func.pg_advisory_xact_lock(_SPACE, key)))
        return True
    return bool(connection.execute(select(func.pg_try_advisory_xact_lock(_SPACE, key))).scalar())


def insert_once(connection: Connection, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert a row unless there is one of the same key; return whether it was inserted."""
    statement = insert(connection, table).values(**values).on_conflict_do_nothing()
    # For an insert the number is not kept unasked, on PostgreSQL.
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount == 1


def insert(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Return an insert that can say what happens when the row is there already (`on_conflict_…`)."""
    return postgresql.insert(table) if side_by_side(connection) else sqlite.insert(table)
