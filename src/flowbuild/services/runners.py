"""The server's side of the runner protocol (`client.runner.RunnerClient`), in process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from flowbuild.client.runner import Assignment, AttemptResult, Beat, Lease, LogEntry, Stop
from flowbuild.core.errors import LeaseLost
from flowbuild.core.events import AttemptFinished, AttemptHealthy, AttemptLaunched, AttemptStarted
from flowbuild.core.ids import CommitId, RunId, StepKey
from flowbuild.services.assignments import Assignments
from flowbuild.services.cache import StepCache
from flowbuild.services.decisions import ORDERS, QUEUE, Clock, Decisions, log_topic, run_topic
from flowbuild.services.logbook import Logbook
from flowbuild.services.signals import Signals
from flowbuild.store.attempts import AttemptKey, AttemptRow
from flowbuild.store.database import Database

LEASE_SECONDS = 60.0


class RunnerService:
    """Hands out the attempts of one owner's runs."""

    def __init__(
        self,
        *,
        database: Database,
        decisions: Decisions,
        signals: Signals,
        assignments: Assignments,
        logbook: Logbook,
        cache: StepCache,
        owner: str,
        clock: Clock,
    ) -> None:
        self._database = database
        self._decisions = decisions
        self._signals = signals
        self._assignments = assignments
        self._logbook = logbook
        self._cache = cache
        self._owner = owner
        self._clock = clock
        self._phases: dict[tuple[str, str], str] = {}
        self._ordered: set[Stop] = set()
        self._ended: list[str] = []
        self._forgotten: set[str] = set()
        self._checked: dict[Lease, int] = {}  # leases found live, and at which version of their run

    async def claim(self, runner: str, *, request_key: str, wait: float) -> Assignment | None:
        """See RunnerClient."""
        deadline = asyncio.get_running_loop().time() + wait
        while True:
            token = self._signals.token(QUEUE)
            assignment = await asyncio.to_thread(self._claim, runner, request_key)
            left = deadline - asyncio.get_running_loop().time()
            if assignment is not None or left <= 0:
                return assignment
            await self._signals.wait(QUEUE, token, left)

    async def phase(self, lease: Lease, phase: str) -> None:
        """See RunnerClient."""
        self._phases[lease.run, lease.step] = phase
        self._signals.notify(run_topic(lease.run))

    def phases(self, run: str) -> Mapping[str, str]:
        """Return what the running steps of a run do now, by step key."""
        return {step: phase for (of, step), phase in self._phases.items() if of == run}

    async def cached(self, lease: Lease, key: str) -> AttemptResult | None:
        """See RunnerClient."""
        return await asyncio.to_thread(self._cache.look_up, _key(lease), key)

    async def launched(self, lease: Lease) -> None:
        """See RunnerClient."""
        await asyncio.to_thread(self._launched, lease)

    async def healthy(self, lease: Lease, result: AttemptResult) -> None:
        """See RunnerClient."""
        await asyncio.to_thread(self._healthy, lease, result)

    async def append_log(self, lease: Lease, offset: int, entries: Sequence[LogEntry]) -> int:
        """See RunnerClient."""
        kept = await asyncio.to_thread(self._append, lease, offset, entries)
        self._signals.notify(log_topic(lease.run, lease.step))
        return kept

    async def log_state(self, lease: Lease) -> tuple[int, Mapping[str, int]]:
        """See RunnerClient."""
        return await asyncio.to_thread(self._log_state, lease)

    async def heartbeat(self, runner: str, *, wait: float) -> Beat:
        """See RunnerClient."""
        token = self._signals.token(ORDERS)
        beat = await asyncio.to_thread(self._beat, runner)
        if beat == Beat() and await self._signals.wait(ORDERS, token, wait):
            beat = await asyncio.to_thread(self._beat, runner)
        return beat

    async def finish(self, lease: Lease, result: AttemptResult) -> None:
        """See RunnerClient."""
        await asyncio.to_thread(self._finish, lease, result)
        self._phases.pop((lease.run, lease.step), None)

    async def forgotten(self, runner: str, run: str) -> None:  # noqa: ARG002 (one runner here; the server has more)
        """See RunnerClient."""
        self._forgotten.add(run)
        self._signals.notify(run_topic(run))

    async def settled(self, run: RunId) -> None:
        """Return when nothing of an ended run is left on the runner's machine."""
        while True:
            token = self._signals.token(run_topic(run))
            if run in self._forgotten:
                return
            await self._signals.wait(run_topic(run), token)

    def run_ended(self, run: RunId) -> None:
        """Tell runners that they may forget a run."""
        self._ended.append(run)
        self._signals.notify(ORDERS)

    def _claim(self, runner: str, request_key: str) -> Assignment | None:
        now = self._clock()
        with self._database.write() as tx:
            row = tx.attempts.orphan(runner=runner, owner=self._owner, now=now, lease=LEASE_SECONDS)
            if row is None:
                row = tx.attempts.claim(
                    runner=runner, owner=self._owner, request_key=request_key, now=now, lease=LEASE_SECONDS
                )
            if row is None:
                return None
            key = row.key
            self._decisions.apply_in(tx, key.run, [AttemptStarted(key.step, key.attempt, key.epoch, runner)])
            stored = self._decisions.load(tx, key.run)
        self._signals.notify(run_topic(key.run))
        return self._assignments.make(stored, row)

    def _launched(self, lease: Lease) -> None:
        key = _key(lease)
        with self._database.write() as tx:
            tx.attempts.launched(self._live(tx.attempts.get(key), lease).key, self._clock())
            self._decisions.apply_in(tx, key.run, [AttemptLaunched(key.step, key.attempt, key.epoch)])
        self._decisions.announce(key.run, tx.topics, tx.others)

    def _append(self, lease: Lease, offset: int, entries: Sequence[LogEntry]) -> int:
        self._require(lease)
        return self._logbook.append(lease, offset, entries)

    def _log_state(self, lease: Lease) -> tuple[int, Mapping[str, int]]:
        self._require(lease)
        return self._logbook.state(lease)

    def _require(self, lease: Lease) -> None:
        """Raise LeaseLost unless the lease is live.

        Whatever may end a lease is announced as a change of its run. So the database is asked once after each of those,
        and after a start of this program; output in between costs no transaction.
        """
        version = self._signals.token(run_topic(lease.run))
        if self._checked.get(lease) != version:
            with self._database.read() as tx:
                self._live(tx.attempts.get(_key(lease)), lease)
            self._checked[lease] = version

    def _healthy(self, lease: Lease, result: AttemptResult) -> None:
        key = _key(lease)
        with self._database.write() as tx:
            self._live(tx.attempts.get(key), lease)
            tx.attempts.detail(key, _details(result))
            commit = CommitId(result.commit) if result.commit else None
            event = AttemptHealthy(key.step, key.attempt, key.epoch, commit, result.variables)
            self._decisions.apply_in(tx, key.run, [event])
        self._decisions.announce(key.run, tx.topics, tx.others)

    def _beat(self, runner: str) -> Beat:
        with self._database.write() as tx:
            tx.attempts.renew(runner, self._clock(), LEASE_SECONDS)
            rows = [row for row in tx.attempts.live(owner=self._owner) if row.runner == runner and row.stop]
        wanted = {Stop(_lease(row.key), row.stop == "force") for row in rows}
        new, self._ordered = wanted - self._ordered, wanted
        ended, self._ended = tuple(self._ended), []
        return Beat(tuple(sorted(new, key=lambda stop: stop.lease.step)), ended)

    def _finish(self, lease: Lease, result: AttemptResult) -> None:
        key = _key(lease)
        with self._database.write() as tx:
            row = tx.attempts.get(key)
            if row is not None and row.state == "done":
                return  # handed in before; the answer was lost
            row = self._live(row, lease)
            tx.attempts.detail(key, _details(result))
            commit = CommitId(result.commit) if result.commit else None
            tx.attempts.finish(
                key,
                outcome=result.outcome,
                reason=result.reason,
                message=result.message,
                exit_code=result.exit_code,
                commit=commit,
                now=self._clock(),
            )
            event = AttemptFinished(
                key.step,
                key.attempt,
                key.epoch,
                result.outcome,
                result.reason,
                result.message,
                result.exit_code,
                commit,
                result.variables,
                cached=result.cached is not None,
            )
            self._decisions.apply_in(tx, key.run, [event])
            self._cache.record(tx, row, result)
        self._decisions.announce(
            key.run, tx.topics, tx.others
        )  # the next step need not wait until the log is on the disk
        self._checked.pop(lease, None)
        self._logbook.close(lease)
        self._signals.notify(log_topic(lease.run, lease.step))

    def _live(self, row: AttemptRow | None, lease: Lease) -> AttemptRow:
        if row is None or row.state not in ("leased", "launched"):
            raise LeaseLost(f"the lease on attempt {lease.attempt} of step {lease.step!r} is over")
        return row


def _key(lease: Lease) -> AttemptKey:
    return AttemptKey(RunId(lease.run), StepKey(lease.step), lease.attempt, lease.epoch)


def _lease(key: AttemptKey) -> Lease:
    return Lease(key.run, key.step, key.attempt, key.epoch)


def _details(result: AttemptResult) -> dict[str, object]:
    told = {"phases": dict(result.phases), "changes": dict(result.changes), "images": dict(result.images)}
    return told if result.cached is None else {**told, "cached": asdict(result.cached)}
