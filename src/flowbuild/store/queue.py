"""What waits for a runner and what runners have, as placement wants to know it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select, tuple_

from flowbuild.core.ids import RunId, StepKey, runner_name
from flowbuild.core.placement import Needs
from flowbuild.store.attempts import LIVE, AttemptKey
from flowbuild.store.codec import load_needs
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
        a, r = attempts.c, runs.c
        mine = case((r.owner == owner, 1), else_=0).label("mine")
        alike = (r.project, r.priority, r.network, a.needs, a.warm, mine)
        place = func.row_number().over(partition_by=alike, order_by=(a.queued_at, a.step)).label("place")
        columns = (a.run_id, a.step, a.attempt, a.epoch, a.queued_at, *alike, place)
        found = select(*columns).join(runs, r.id == a.run_id).where(_waiting(), _of(owner, served=served)).subquery()
        query = select(found).where(found.c.place <= DEEP).order_by(found.c.queued_at, found.c.step)
        return [
            QueueHead(
                key=AttemptKey(RunId(row.run_id), StepKey(row.step), row.attempt, row.epoch),
                project=row.project,
                queued_at=row.queued_at,
                needs=load_needs(row.needs),
                priority=row.priority,
                warm=row.warm,
                network=row.network,
                mine=bool(row.mine),
            )
            for row in self._connection.execute(query)
        ]

    def head(self, key: AttemptKey, owner: str) -> QueueHead | None:
        """Return a queued attempt as if it were the oldest of its kind."""
        a, r = attempts.c, runs.c
        columns = (a.queued_at, a.needs, a.warm, r.project, r.priority, r.network, r.owner)
        named = and_(a.run_id == key.run, a.step == key.step, a.attempt == key.attempt, a.epoch == key.epoch)
        query = select(*columns).join(runs, r.id == a.run_id).where(named, a.state == "queued")
        row = self._connection.execute(query).first()
        if row is None:
            return None
        mine = row.owner == owner
        needs = load_needs(row.needs)
        return QueueHead(key, row.project, row.queued_at, needs, row.priority, row.warm, row.network, mine)

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


def _waiting() -> ColumnElement[bool]:
    return and_(attempts.c.state == "queued", attempts.c.stop == "")


def _of(owner: str, *, served: bool) -> ColumnElement[bool]:
    return or_(runs.c.owner == owner, runs.c.served == 1) if served else runs.c.owner == owner
