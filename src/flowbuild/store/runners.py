"""Runners, and the codes that those on other machines register with. Keys and codes are kept as SHA-256 only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, select

from flowbuild.core.ids import EMBEDDED
from flowbuild.store.codec import dump_mapping, load_mapping
from flowbuild.store.server_tables import runner_codes, runners
from flowbuild.store.sharing import insert_once

_NO_KEY = "none"  # the SHA-256 of nothing


@dataclass(frozen=True, slots=True)
class RunnerRow:
    """A runner. `state`: active, cordoned (gets no more work), draining (ends, too, when it has none left), revoked.

    `facts` are what it says of itself at the start, `load` what it said when it was last heard of.

    `life`: the latest life of its program, empty before the first one. `key_wanted_at`: when somebody asked for a new key;
    `next_key_at`: when the runner made it, before it used it. One row stands for the runners inside all servers over the
    database; it has no key.
    """

    id: str
    name: str
    key_hash: str
    capacity: int
    state: str
    created_at: float
    labels: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    seen_at: float | None = None
    life: str = ""
    key_made_at: float | None = None
    key_wanted_at: float | None = None
    next_key_at: float | None = None
    load: Mapping[str, Any] = field(default_factory=dict)

    @property
    def embedded(self) -> bool:
        """Whether it is that one."""
        return self.name == EMBEDDED

    @property
    def key_since(self) -> float:
        """When the key was made: with the runner, unless it got another one later."""
        return self.created_at if self.key_made_at is None else self.key_made_at


class Runners:
    """The `runners` and `runner_codes` tables."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, row: RunnerRow) -> None:
        """Insert a runner, in place of one of that name."""
        self._connection.execute(runners.delete().where(runners.c.name == row.name))
        self._connection.execute(
            runners.insert().values(
                id=row.id,
                name=row.name,
                key_hash=row.key_hash,
                labels=dump_mapping(dict(row.labels)),
                capacity=row.capacity,
                state=row.state,
                facts=dump_mapping(dict(row.facts)),
                created_at=row.created_at,
            )
        )

    def embed(self, identifier: str, now: float, *, capacity: int, facts: Mapping[str, Any]) -> None:
        """Keep what the runner inside a server says of its machine, whatever state it has; the first one is inserted."""
        values = {"id": identifier, "name": EMBEDDED, "key_hash": _NO_KEY, "state": "active", "created_at": now}
        insert_once(self._connection, runners, {**values, "capacity": capacity})
        self.describe(EMBEDDED, life="", capacity=capacity, facts=facts)

    def by_key(self, key_hash: str) -> RunnerRow | None:
        """Return the runner that has a key."""
        return self._first(runners.c.key_hash == key_hash)

    def by_next_key(self, key_hash: str) -> RunnerRow | None:
        """Return the runner whose next key that is."""
        return self._first(runners.c.next_key_hash == key_hash)

    def want_key(self, name: str, now: float) -> None:
        """Remember that a runner is to make a new key."""
        self._connection.execute(runners.update().where(runners.c.name == name).values(key_wanted_at=now))

    def announce_key(self, name: str, key_hash: str, now: float) -> None:
        """Keep a key that is to take the place of a runner's, instead of one that it announced before."""
        values = {"next_key_hash": key_hash, "next_key_at": now}
        self._connection.execute(runners.update().where(runners.c.name == name).values(**values))

    def take_key(self, key_hash: str) -> bool:
        """Put an announced key in the place of the one before; False when it is not (any more) announced."""
        c = runners.c
        values = {"key_hash": key_hash, "key_made_at": c.next_key_at, "key_wanted_at": None}
        statement = runners.update().where(c.next_key_hash == key_hash)
        return self._connection.execute(statement.values(**values, next_key_hash=None, next_key_at=None)).rowcount == 1

    def by_name(self, name: str) -> RunnerRow | None:
        """Return the runner of that name."""
        return self._first(runners.c.name == name)

    def all(self) -> Sequence[RunnerRow]:
        """Return all runners by name."""
        return [_row(row) for row in self._connection.execute(select(runners).order_by(runners.c.name)).mappings()]

    def set_state(self, name: str, state: str) -> None:
        """Let a runner be active, draining or revoked."""
        self._connection.execute(runners.update().where(runners.c.name == name).values(state=state))

    def seen(self, name: str, now: float, load: Mapping[str, Any] | None = None) -> None:
        """Remember that a runner was heard of, and how loaded it said it is."""
        told = {} if load is None else {"load": dump_mapping(dict(load))}
        self._connection.execute(runners.update().where(runners.c.name == name).values(seen_at=now, **told))

    def describe(self, name: str, *, life: str, capacity: int, facts: Mapping[str, Any]) -> None:
        """Keep what a runner says of itself when a life of it begins."""
        values = {"life": life, "capacity": capacity, "facts": dump_mapping(dict(facts))}
        self._connection.execute(runners.update().where(runners.c.name == name).values(**values))

    def forget_lives(self) -> None:
        """Let every life of a runner be taken for its latest, until one begins."""
        self._connection.execute(runners.update().values(life=""))

    def add_code(self, code_hash: str, *, by: str, now: float, expires_at: float) -> None:
        """Keep a code that a runner may register with, once."""
        values = {"hash": code_hash, "created_by": by, "created_at": now, "expires_at": expires_at}
        self._connection.execute(runner_codes.insert().values(**values))

    def use_code(self, code_hash: str, now: float) -> bool:
        """Use up a code; False when there is none, it was used before, or it is over."""
        usable = (
            (runner_codes.c.hash == code_hash) & runner_codes.c.used_at.is_(None) & (runner_codes.c.expires_at > now)
        )
        return self._connection.execute(runner_codes.update().where(usable).values(used_at=now)).rowcount == 1

    def _first(self, condition: ColumnElement[bool]) -> RunnerRow | None:
        row = self._connection.execute(select(runners).where(condition)).mappings().first()
        return None if row is None else _row(row)


def _row(row: RowMapping) -> RunnerRow:
    return RunnerRow(
        id=row["id"],
        name=row["name"],
        key_hash=row["key_hash"],
        capacity=row["capacity"],
        state=row["state"],
        created_at=row["created_at"],
        labels=load_mapping(row["labels"]),
        facts=load_mapping(row["facts"]),
        seen_at=row["seen_at"],
        life=row["life"],
        key_made_at=row["key_made_at"],
        key_wanted_at=row["key_wanted_at"],
        next_key_at=row["next_key_at"],
        load=load_mapping(row["load"]),
    )
