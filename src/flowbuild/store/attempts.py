"""The durable queue: one row per attempt with its lease. Rows are never deleted when handed out.

An attempt changes in transactions that hold its run (see `store.sharing`); only `renew` does without.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, func, select, tuple_

from flowbuild.core.ids import EMBEDDED, RunId, StepKey, runner_name
from flowbuild.core.placement import ANYWHERE, Amounts, Needs
from flowbuild.core.states import Outcome, Reason
from flowbuild.store.codec import dump_mapping, dump_needs, load_mapping, load_needs
from flowbuild.store.kinds import kind_of
from flowbuild.store.sharing import lock_run, savepoint, serialise
from flowbuild.store.tables import attempts, runs

LIVE = ("leased", "launched")
_IDENTITY = tuple_(attempts.c.run_id, attempts.c.step, attempts.c.attempt, attempts.c.epoch)


@dataclass(frozen=True, slots=True)
class AttemptKey:
    """Names an attempt and the lease on it."""

    run: RunId
    step: StepKey
    attempt: int
    epoch: int


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """An attempt. `state`: queued, leased (a runner has it), launched (its containers may run), done.

    `runner` is NAME/LIFE of who has it (see core.ids.runner_name), until `lease_until` unless it is prolonged.
    """

    key: AttemptKey
    state: str
    input_commit: str
    queued_at: float
    runner: str = ""
    stop: str = ""
    lease_until: float | None = None
    lease_seconds: float = 60.0
    started_at: float | None = None
    finished_at: float | None = None
    outcome: Outcome | None = None
    reason: Reason | None = None
    message: str = ""
    exit_code: int | None = None
    commit: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    reserves: bool = False  # parts of a machine, which are free again when it has ended


class Attempts:
    """The `attempts` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def enqueue(self, key: AttemptKey, input_commit: str, now: float, needs: Needs = ANYWHERE, warm: str = "") -> None:
        """Offer an attempt to runners; a higher epoch of the same attempt replaces the row (the old lease is fenced).

        `warm`: the name of the runner that has the workspace.
        """
        row = self._select(key.run, key.step, key.attempt)
        if row is not None and row["epoch"] >= key.epoch:
            return
        values = {"epoch": key.epoch, "state": "queued", "input_commit": input_commit, "queued_at": now}
        told = dump_needs(needs)
        values |= {"needs": told, "warm": warm, "kind": kind_of(self._connection, key.run, told, warm)}
        if row is not None:
            fresh = {"runner": "", "request_key": "", "lease_until": None, "stop": "", "started_at": None}
            self._connection.execute(attempts.update().where(_same(key)).values(**values, **fresh))
        else:
            identity = {"run_id": key.run, "step": key.step, "attempt": key.attempt}
            self._connection.execute(attempts.insert().values(**identity, **values))

    def begin_claim(self, runner: str, *, wait: bool = True) -> bool:
        """Let claims of a runner come one after another; False when one is under way and we do not `wait`.

        Each of two would not see what the other one takes of the machine, nor that both have the same key.
        """
        return serialise(self._connection, f"claim {runner}", wait=wait)

    def answered(self, *, runner: str, request_key: str) -> AttemptRow | None:
        """Return what a runner got for a request key before, if it still has it."""
        query = select(attempts).where(
            attempts.c.request_key == request_key, attempts.c.runner == runner, attempts.c.state.in_(LIVE)
        )
        row = self._connection.execute(query).mappings().first()
        return None if row is None else _row(row)

    def take(
        self, key: AttemptKey, *, runner: str, request_key: str, now: float, lease: float, wait: bool = True
    ) -> AttemptRow | None:
        """Lease a queued attempt to a runner; None when it is not queued any more.

        Without `wait` also when another transaction has its run; see `store.sharing`.
        """
        if not lock_run(self._connection, key.run, wait=wait):
            return None
        free = (attempts.c.state == "queued") & (attempts.c.stop == "")
        asking = {"runner": runner, "request_key": request_key}
        taken = self._hand(key, free, now=now, lease=lease, state="leased", **asking)
        return self.get(key) if taken else None

    def maker(self, run: RunId, commit: str) -> str:
        """Return the name of the runner whose attempt left a commit as its result; empty when there is none."""
        query = select(attempts.c.runner).where(attempts.c.run_id == run, attempts.c.commit == commit)
        return runner_name(self._connection.execute(query).scalar() or "")

    def get(self, key: AttemptKey) -> AttemptRow | None:
        """Return the attempt when it still has that epoch."""
        row = self._select(key.run, key.step, key.attempt)
        return None if row is None or row["epoch"] != key.epoch else _row(row)

    def launched(self, key: AttemptKey, now: float) -> None:
        """Remember that containers of the attempt may run from now on."""
        self._connection.execute(attempts.update().where(_same(key)).values(state="launched", started_at=now))

    def prolong(self, key: AttemptKey, now: float, lease: float) -> None:
        """Let a lease run for `lease` seconds, now and each time that it is renewed."""
        values = {"lease_until": now + lease, "lease_seconds": lease}
        self._connection.execute(attempts.update().where(_same(key)).values(**values))

    def renew(self, runner: str, keys: Collection[AttemptKey], now: float) -> None:
        """Prolong those of some leases that a runner has, but of attempts that are just being changed: there is another beat."""
        if keys:
            chosen = _IDENTITY.in_([(key.run, key.step, key.attempt, key.epoch) for key in keys])
            self._renew(_held_by(runner) & chosen, now)

    def renew_all(self, owner: str, now: float) -> None:
        """Prolong all leases on attempts of an owner's runs: nobody was there to hear whether their runners live."""
        self._renew(attempts.c.run_id.in_(select(runs.c.id).where(runs.c.owner == owner)), now)

    def renew_run(self, run: RunId, now: float) -> None:
        """Prolong all leases on attempts of a run: whoever drove it heard nobody any more."""
        self._renew(attempts.c.run_id == run, now)

    def let_run_out(self, name: str) -> None:
        """Let all leases of a runner have run out long ago, at 0, and for good."""
        theirs = attempts.c.state.in_(LIVE) & attempts.c.runner.startswith(f"{name}/", autoescape=True)
        self._connection.execute(attempts.update().where(theirs).values(lease_until=0.0))

    def overdue(self, owner: str, before: float) -> Sequence[AttemptRow]:
        """Return the attempts of an owner's runs whose leases ran out before a moment; never of the embedded runner."""
        rows = self._connection.execute(_remote(select(attempts), owner).where(attempts.c.lease_until <= before))
        return [_row(row) for row in rows.mappings()]

    def next_overdue(self, owner: str) -> float | None:
        """Return when the next of those leases runs out."""
        return self._connection.execute(_remote(select(func.min(attempts.c.lease_until)), owner)).scalar()

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

    def all_live(self) -> Sequence[AttemptKey]:
        """Return every attempt that a runner has."""
        query = select(attempts).where(attempts.c.state.in_(LIVE))
        return [_key(row) for row in self._connection.execute(query).mappings()]

    def forget_lives(self) -> None:
        """Let what runners have be held by whichever life of theirs says so, until one of them adopts it."""
        for row in self._connection.execute(select(attempts).where(attempts.c.state.in_(LIVE))).mappings().all():
            values = {"runner": _any_life(row["runner"])}
            self._connection.execute(attempts.update().where(_same(_key(row))).values(**values))

    def held(self, runner: str) -> Sequence[AttemptRow]:
        """Return what a runner has in this life, and what it has in a life that nobody knows."""
        query = select(attempts).where(attempts.c.state.in_(LIVE), _held_by(runner))
        return [_row(row) for row in self._connection.execute(query).mappings()]

    def orphans(self, *, runner: str, owner: str) -> Sequence[AttemptRow]:
        """Return what earlier lives of a runner held; of the embedded one, for an owner's runs only."""
        return [row for row in self._of_name(runner, owner) if row.runner != runner]

    def adopt(self, *, runner: str, owner: str, request_key: str, now: float, wait: bool = True) -> AttemptRow | None:
        """Hand an attempt that an earlier life of a runner held to this life of it; `wait` as in `claim`."""
        for row in self.orphans(runner=runner, owner=owner):
            theirs = (attempts.c.runner == row.runner) & (attempts.c.state == row.state)
            taken = {"state": row.state, "runner": runner, "request_key": request_key}
            with savepoint(self._connection) as give_back:
                if lock_run(self._connection, row.key.run, wait=wait) and self._hand(
                    row.key, theirs, now=now, lease=row.lease_seconds, **taken
                ):
                    return row
                give_back()
        return None

    def _renew(self, which: ColumnElement[bool], now: float) -> None:
        """Prolong leases without their runs being locked, so without waiting for any."""
        # Not those of who was sent away: a heartbeat that was let in before is answered just then.
        still = attempts.c.state.in_(LIVE) & (attempts.c.lease_until > 0)
        found = select(*_IDENTITY.clauses).where(still, which).with_for_update(skip_locked=True)
        until = attempts.c.lease_seconds + now
        self._connection.execute(attempts.update().where(_IDENTITY.in_(found)).values(lease_until=until))

    def _of_name(self, runner: str, owner: str) -> Sequence[AttemptRow]:
        name = runner_name(runner)
        same = attempts.c.runner.startswith(f"{name}/", autoescape=True)
        query = select(attempts).where(attempts.c.state.in_(LIVE), same).order_by(attempts.c.queued_at)
        if name == EMBEDDED:
            query = query.join(runs, runs.c.id == attempts.c.run_id).where(runs.c.owner == owner)
        return [_row(row) for row in self._connection.execute(query).mappings()]

    def _hand(self, key: AttemptKey, still: ColumnElement[bool], *, now: float, lease: float, **values: str) -> bool:
        """Lease an attempt to a runner; False when it is not any more as it was."""
        statement = attempts.update().where(_same(key), attempts.c.epoch == key.epoch, still)
        times = {"lease_until": now + lease, "lease_seconds": lease}
        return self._connection.execute(statement.values(**values, **times)).rowcount == 1

    def _select(self, run: RunId, step: str, attempt: int) -> RowMapping | None:
        query = select(attempts).where(attempts.c.run_id == run, attempts.c.step == step, attempts.c.attempt == attempt)
        return self._connection.execute(query).mappings().first()


def _remote(query: Select[Any], owner: str) -> Select[Any]:
    """Narrow a query to live attempts of an owner's runs that are not in the hands of the embedded runner."""
    embedded = attempts.c.runner.startswith(f"{EMBEDDED}/", autoescape=True)
    owned = query.join(runs, runs.c.id == attempts.c.run_id).where(runs.c.owner == owner)
    return owned.where(attempts.c.state.in_(LIVE), ~embedded)


def _any_life(runner: str) -> str:
    return f"{runner_name(runner)}/"


def _held_by(runner: str) -> ColumnElement[bool]:
    return attempts.c.runner.in_([runner, _any_life(runner)])


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
        lease_seconds=row["lease_seconds"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        outcome=None if row["outcome"] is None else Outcome(row["outcome"]),
        reason=None if row["reason"] is None else Reason(row["reason"]),
        message=row["message"],
        exit_code=row["exit_code"],
        commit=row["commit"],
        details=load_mapping(row["details"]),
        reserves=load_needs(row["needs"]).amounts != Amounts(),
    )
