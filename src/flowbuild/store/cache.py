"""Which attempt's result may stand for running a step: one row per scope and key, the latest attempt wins.

What a row leads to (repository, commits, exit code) is kept with the attempt; a run that is removed takes its rows along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, select

from flowbuild.core.cache import Origin
from flowbuild.store.attempts import AttemptKey
from flowbuild.store.codec import load_mapping
from flowbuild.store.sharing import insert
from flowbuild.store.tables import attempts, runs, step_cache


class Scope(NamedTuple):
    """Who may see a row: runs of the same project and the same trust class."""

    project: str
    trust: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """A result that was recorded: whose it is, and where to find it. `images` by service, as the attempt used them."""

    origin: Origin
    repository: str
    input_commit: str
    commit: str
    exit_code: int | None
    images: Mapping[str, str]


class Cache:
    """The `step_cache` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, scope: Scope, key: str, attempt: AttemptKey) -> None:
        """Let an attempt's result stand for the key from now on."""
        whose = {"run_id": attempt.run, "step": attempt.step, "attempt": attempt.attempt}
        row = insert(self._connection, step_cache).values(**scope._asdict(), key=key, **whose)
        self._connection.execute(row.on_conflict_do_update(index_elements=[*step_cache.primary_key], set_=whose))

    def get(self, scope: Scope, key: str) -> Recorded | None:
        """Return what stands for the key; only of an attempt that left a result."""
        c, a = step_cache.c, attempts.c
        query = (
            select(c.run_id, c.step, c.attempt, a.input_commit, a.commit, a.exit_code, a.finished_at, a.details)
            .add_columns(runs.c.number, runs.c.repository)
            .join_from(step_cache, runs, runs.c.id == c.run_id)
            .join(attempts, (a.run_id == c.run_id) & (a.step == c.step) & (a.attempt == c.attempt))
            .where(_row(scope, key), a.commit.is_not(None), a.finished_at.is_not(None))
        )
        row = self._connection.execute(query).mappings().first()
        if row is None:
            return None
        return Recorded(
            Origin(row["run_id"], row["number"], row["step"], row["attempt"], row["finished_at"]),
            row["repository"],
            row["input_commit"],
            row["commit"],
            row["exit_code"],
            load_mapping(row["details"]).get("images", {}),
        )

    def drop(self, scope: Scope, key: str, origin: Origin) -> None:
        """Forget a result that turned out to be of no use, unless another one stands there by now."""
        c = step_cache.c
        same = (c.run_id == origin.run) & (c.step == origin.step) & (c.attempt == origin.attempt)
        self._connection.execute(step_cache.delete().where(_row(scope, key), same))


def _row(scope: Scope, key: str) -> ColumnElement[bool]:
    c = step_cache.c
    return and_(c.project == scope.project, c.trust == scope.trust, c.key == key)
