"""The durable queue: one row per attempt with its lease. Rows are never deleted when handed out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from flowbuild.core.errors import LeaseLost
from flowbuild.core.ids import RunId, StepKey
from flowbuild.core.states import Outcome, Reason
from flowbuild.store.codec import dump_mapping, load_mapping
from flowbuild.store.tables import attempts, runs

LIVE = ("leased", "launched")


@dataclass(frozen=True, slots=True)
class AttemptKey:
    """Names an attempt and the lease on it."""

    run: RunId
    step: StepKey
    attempt: int
    epoch: int


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """An attempt. `state`: queued, leased (a runner has it), launched (its containers may run), done."""

    key: AttemptKey
    state: str
    input_commit: str
    queued_at: float
    runner: str = ""
    stop: str = ""
    lease_until: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    outcome: Outcome | None = None
    reason: Reason | None = None
    message: str = ""
    exit_code: int | None = None
    commit: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


class Attempts:
    """The `attempts` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def enqueue(self, key: AttemptKey, input_commit: str, now: float) -> None:
        """Offer an attempt to runners; a higher epoch of the same attempt replaces the row (the old lease is fenced)."""
        row = self._select(key.run, key.step, key.attempt)
        if row is not None and row["epoch"] >= key.epoch:
            return
        values = {"epoch": key.epoch, "state": "queued", "input_commit": input_commit, "queued_at": now}
        if row is not None:
            fresh = {"runner": "", "request_key": "", "lease_until": None, "stop": "", "started_at": None}
            self._connection.execute(attempts.update().where(_same(key)).values(**values, **fresh))
        else:
            identity = {"run_id": key.run, "step": key.step, "attempt": key.attempt}
            self._connection.execute(attempts.insert().values(**identity, **values))

    def claim(self, *, runner: str, owner: str, request_key: str, now: float, lease: float) -> AttemptRow | None:
        """Lease the oldest queued attempt of an owner's runs to a runner. The same request key gets the same answer."""
        again = select(attempts).where(attempts.c.request_key == request_key, attempts.c.state.in_(LIVE))
        row = self._connection.execute(again).mappings().first()
        if row is not None:
            return _row(row)
        query = (
            select(attempts)
            .join(runs, runs.c.id == attempts.c.run_id)
            .where(attempts.c.state == "queued", attempts.c.stop == "", runs.c.owner == owner)
            .order_by(attempts.c.queued_at, attempts.c.step)
            .limit(1)
        )
        row = self._connection.execute(query).mappings().first()
        if row is None:
            return None
        key = _key(row)
        values = {"state": "leased", "runner": runner, "request_key": request_key, "lease_until": now + lease}
        self._connection.execute(attempts.update().where(_same(key)).values(**values))
        return self.get(key)

    def get(self, key: AttemptKey) -> AttemptRow | None:
        """Return the attempt when it still has that epoch."""
        row = self._select(key.run, key.step, key.attempt)
        return None if row is None or row["epoch"] != key.epoch else _row(row)

    def require_lease(self, key: AttemptKey, runner: str) -> AttemptRow:
        """Return the attempt when the runner holds it; raises LeaseLost: stop working."""
        row = self.get(key)
        if row is None or row.runner != runner or row.state not in LIVE:
            raise LeaseLost(f"the lease on attempt {key.attempt} of step {key.step!r} is not yours any more")
        return row

    def launched(self, key: AttemptKey, now: float) -> None:
        """Remember that containers of the attempt may run from now on."""
        self._connection.execute(attempts.update().where(_same(key)).values(state="launched", started_at=now))

    def renew(self, runner: str, now: float, lease: float) -> None:
        """Prolong every lease of a runner."""
        self._connection.execute(
            attempts.update()
            .where(attempts.c.runner == runner, attempts.c.state.in_(LIVE))
            .values(lease_until=now + lease)
        )

    def request_stop(self, key: AttemptKey, *, force: bool) -> AttemptRow | None:
        """Ask whoever has the attempt to stop it; return it as it was. `force` is never taken back."""
        row = self.get(key)
        if row is not None and row.state != "done":
            stop = "force" if force or row.stop == "force" else "graceful"
            self._connection.execute(attempts.update().where(_same(key)).values(stop=stop))
        return row

    def detail(self, key: AttemptKey, details: Mapping[str, Any]) -> None:
        """Merge further details (phases, changes, images) into the row."""
        row = self.get(key)
        if row is not None:
            merged = dump_mapping({**row.details, **details})
            self._connection.execute(attempts.update().where(_same(key)).values(details=merged))

    def finish(
        self,
        key: AttemptKey,
        *,
        outcome: Outcome,
        reason: Reason | None,
        message: str,
        exit_code: int | None,
        commit: str | None,
        now: float,
    ) -> None:
        """Record how an attempt ended."""
        values = {"outcome": outcome, "reason": reason, "message": message, "exit_code": exit_code, "commit": commit}
        self._connection.execute(attempts.update().where(_same(key)).values(state="done", finished_at=now, **values))

    def of_run(self, run: RunId, step: str | None = None) -> Sequence[AttemptRow]:
        """Return all attempts of a run, or of one step of it, in order of time."""
        query = select(attempts).where(attempts.c.run_id == run).order_by(attempts.c.queued_at, attempts.c.attempt)
        if step is not None:
            query = query.where(attempts.c.step == step)
        return [_row(row) for row in self._connection.execute(query).mappings()]

    def live(self, *, owner: str) -> Sequence[AttemptRow]:
        """Return the attempts of an owner's runs that a runner has or had."""
        query = (
            select(attempts)
            .join(runs, runs.c.id == attempts.c.run_id)
            .where(runs.c.owner == owner, attempts.c.state.in_(LIVE))
        )
        return [_row(row) for row in self._connection.execute(query).mappings()]

    def orphan(self, *, runner: str, owner: str, now: float, lease: float) -> AttemptRow | None:
        """Hand over an attempt that an earlier life of an owner's only runner held."""
        for row in self.live(owner=owner):
            if row.runner != runner:
                values = {"runner": runner, "lease_until": now + lease}
                self._connection.execute(attempts.update().where(_same(row.key)).values(**values))
                return row
        return None

    def _select(self, run: RunId, step: str, attempt: int) -> RowMapping | None:
        query = select(attempts).where(attempts.c.run_id == run, attempts.c.step == step, attempts.c.attempt == attempt)
        return self._connection.execute(query).mappings().first()


def _same(key: AttemptKey) -> Any:
    return (attempts.c.run_id == key.run) & (attempts.c.step == key.step) & (attempts.c.attempt == key.attempt)


def _key(row: RowMapping) -> AttemptKey:
    return AttemptKey(RunId(row["run_id"]), StepKey(row["step"]), row["attempt"], row["epoch"])


def _row(row: RowMapping) -> AttemptRow:
    return AttemptRow(
        key=_key(row),
        state=row["state"],
        input_commit=row["input_commit"],
        queued_at=row["queued_at"],
        runner=row["runner"],
        stop=row["stop"],
        lease_until=row["lease_until"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        outcome=None if row["outcome"] is None else Outcome(row["outcome"]),
        reason=None if row["reason"] is None else Reason(row["reason"]),
        message=row["message"],
        exit_code=row["exit_code"],
        commit=row["commit"],
        details=load_mapping(row["details"]),
    )
