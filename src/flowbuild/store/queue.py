"""What waits for a runner and what runners have, as placement wants to know it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CTE, ColumnElement, Connection, Row, ScalarSelect, Select, and_, func, or_, select, true, tuple_

from flowbuild.core.ids import RunId, StepKey, runner_name
from flowbuild.core.placement import Needs
from flowbuild.store.attempts import LIVE, AttemptKey
from flowbuild.store.codec import load_needs
from flowbuild.store.kinds import sort_anew
from flowbuild.store.sharing import side_by_side
from flowbuild.store.tables import attempts, runs

DEEP = 4  # of a kind: another transaction may have the run of the oldest, and several machines may ask


@dataclass(frozen=True, slots=True)
class QueueHead:
    """One of the oldest of those queued attempts that differ in nothing but their age. `mine`: its run is of the owner that asked.

    `network`: empty, core.placement.UNDECIDED, or as in its `obstacle`.
    """

    key: AttemptKey
    project: str
    queued_at: float
    needs: Needs
    priority: int
    warm: str
    network: str
    mine: bool


@dataclass(frozen=True, slots=True)
class Load:
    """An attempt that a runner has, by the name of that. `mine`: its run is of the owner that asked."""

    runner: str
    project: str
    needs: Needs
    mine: bool


class Queue:
    """Reads the `attempts` that have not ended, each with its run, and keeps where the networks of runs are."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def heads(self, owner: str, *, served: bool) -> Sequence[QueueHead]:
        """Return the first that are queued, DEEP of each kind, of the runs of an owner and with `served` of all that servers began."""
        oldest = self._oldest()
        r = runs.c
        told = select(r.id, r.project, r.priority, r.network, r.owner).where(
            r.id.in_({row.run_id for row in oldest}), _of(owner, served=served)
        )
        of_run = {row.id: row for row in self._connection.execute(told)}
        return [_head(_key(row), row, of_run[row.run_id], owner) for row in oldest if row.run_id in of_run]

    def _oldest(self) -> Sequence[Row[Any]]:
        """Return the DEEP oldest of each kind, the oldest first.

        Each part of the work is asked for so that no planner has a choice but the index: what they know of a queue is out of date.
        """
        kinds = _kinds()
        if side_by_side(self._connection):
            heads = _heads(kinds.c.kind).lateral()
            found = self._connection.execute(select(heads).select_from(kinds.join(heads, true()))).all()
        else:  # SQLite knows no LATERAL, and there is no way to a server either
            names = self._connection.execute(select(kinds.c.kind).where(kinds.c.kind.is_not(None))).scalars().all()
            found = [row for name in names for row in self._connection.execute(_heads(name))]
        return sorted(found, key=lambda row: (row.queued_at, row.step))

    def head(self, key: AttemptKey, owner: str) -> QueueHead | None:
        """Return a queued attempt as if it were the oldest of its kind."""
        a, r = attempts.c, runs.c
        columns = (a.queued_at, a.needs, a.warm, r.project, r.priority, r.network, r.owner)
        named = and_(a.run_id == key.run, a.step == key.step, a.attempt == key.attempt, a.epoch == key.epoch)
        query = select(*columns).join(runs, r.id == a.run_id).where(named, a.state == "queued")
        row = self._connection.execute(query).first()
        if row is None:
            return None
        return _head(key, row, row, owner)

    def loads(self, owner: str) -> Sequence[Load]:
        """Return all attempts that runners have."""
        columns = (attempts.c.runner, runs.c.project, attempts.c.needs, runs.c.owner)
        query = select(*columns).join(runs, runs.c.id == attempts.c.run_id).where(attempts.c.state.in_(LIVE))
        return [
            Load(runner_name(row.runner), row.project, load_needs(row.needs), row.owner == owner)
            for row in self._connection.execute(query)
        ]

    def older(self, head: QueueHead) -> int:
        """Return how many attempts of all owners have waited longer than a queued one."""
        earlier = tuple_(attempts.c.queued_at, attempts.c.step) < tuple_(head.queued_at, head.key.step)
        query = select(func.count()).select_from(attempts).where(_waiting(), earlier)
        return int(self._connection.execute(query).scalar() or 0)

    def settle_network(self, run: RunId, network: str) -> None:
        """Decide where the network of a run is."""
        self._connection.execute(runs.update().where(runs.c.id == run).values(network=network))
        sort_anew(self._connection, run)


def _waiting(table: Any = attempts) -> ColumnElement[bool]:
    return and_(table.c.state == "queued", table.c.stop == "")


def _kinds() -> CTE:
    """Return the kinds that wait, each found from the one before it by the index; the last one is NULL.

    That of what a server of an earlier version queued, which may still run beside, is empty.
    """
    kinds = select(_next().label("kind")).cte("kinds", recursive=True)
    return kinds.union_all(select(_next(kinds.c.kind)).where(kinds.c.kind.is_not(None)))


def _next(kind: ColumnElement[str] | None = None) -> ScalarSelect[Any]:
    a = attempts.alias()
    later = a.c.kind >= "" if kind is None else a.c.kind > kind  # all are: PostgreSQL takes the index for a bound
    return select(a.c.kind).where(_waiting(a), later).order_by(a.c.kind).limit(1).scalar_subquery()


def _heads(kind: ColumnElement[str] | str) -> Select[Any]:
    a = attempts.alias()
    columns = (a.c.run_id, a.c.step, a.c.attempt, a.c.epoch, a.c.queued_at, a.c.needs, a.c.warm)
    return select(*columns).where(_waiting(a), a.c.kind == kind).order_by(a.c.queued_at, a.c.step).limit(DEEP)


def _key(row: Any) -> AttemptKey:
    return AttemptKey(RunId(row.run_id), StepKey(row.step), row.attempt, row.epoch)


def _head(key: AttemptKey, row: Any, run: Any, owner: str) -> QueueHead:
    return QueueHead(
        key=key,
        project=run.project,
        queued_at=row.queued_at,
        needs=load_needs(row.needs),
        priority=run.priority,
        warm=row.warm,
        network=run.network,
        mine=run.owner == owner,
    )


def _of(owner: str, *, served: bool) -> ColumnElement[bool]:
    return or_(runs.c.owner == owner, runs.c.served == 1) if served else runs.c.owner == owner
