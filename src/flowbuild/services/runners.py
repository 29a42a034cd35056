"""The server's side of the runner protocol (`client.runner.RunnerClient`), in process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field

from flowbuild.client.runner import Assignment, AttemptResult, Beat, Lease, LogEntry, Stop
from flowbuild.core.errors import LeaseLost
from flowbuild.core.events import AttemptFinished, AttemptHealthy, AttemptLaunched, AttemptStarted
from flowbuild.core.ids import CommitId, RunId, StepKey
from flowbuild.services.assignments import Assignments
from flowbuild.services.cache import StepCache
from flowbuild.services.decisions import ORDERS, QUEUE, Clock, Decisions, log_topic, phase_topic, run_topic
from flowbuild.services.logbook import Logbook
from flowbuild.services.signals import Signals
from flowbuild.store.attempts import AttemptKey, AttemptRow
from flowbuild.store.database import Database, Transaction
from flowbuild.store.runs import RunRow

LEASE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class _Poll:
    """A claim that found nothing and waits. Who takes it out of the others answers it: None means to look again."""

    runner: str
    request_key: str
    answer: Future[Assignment | None] = field(default_factory=Future)


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
        self._polls: dict[str, _Poll] = {}  # by request key; popped by threads, too
        self._ordered: set[Stop] = set()
        self._ended: deque[str] = deque()  # threads add to it while it is emptied
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
            poll = self._polls[request_key] = _Poll(runner, request_key)
            try:
                await self._signals.wait(QUEUE, token, left)
            finally:
                waiting = self._polls.pop(request_key, None)
            if waiting is None and (assignment := await asyncio.wrap_future(poll.answer)) is not None:
                return assignment

    async def phase(self, lease: Lease, phase: str) -> None:
        """See RunnerClient."""
        self._phases[lease.run, lease.step] = phase
        self._signals.notify(phase_topic(lease.run))

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
        with self._database.write() as tx:
            claimed = self._claim_in(tx, runner, request_key)
        return None if claimed is None else self._assign(*claimed)

    def _claim_in(self, tx: Transaction, runner: str, request_key: str) -> tuple[RunRow, AttemptRow] | None:
        now = self._clock()
        row = tx.attempts.orphan(runner=runner, owner=self._owner, now=now, lease=LEASE_SECONDS)
        if row is None:
            row = tx.attempts.claim(
                runner=runner, owner=self._owner, request_key=request_key, now=now, lease=LEASE_SECONDS
            )
        if row is None:
            return None
        started = AttemptStarted(row.key.step, row.key.attempt, row.key.epoch, runner)
        return self._decisions.apply_in(tx, row.key.run, [started]), row

    def _assign(self, stored: RunRow, row: AttemptRow) -> Assignment:
        """Tell who watches that an attempt was claimed, once that is stored."""
        self._decisions.announce(row.key.run, ())
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
        ended = tuple(self._ended.popleft() for _ in range(len(self._ended)))
        return Beat(tuple(sorted(new, key=lambda stop: stop.lease.step)), ended)

    def _finish(self, lease: Lease, result: AttemptResult) -> None:
        """Record how an attempt ended; what follows it goes to a claim that waits, in the same transaction."""
        key, poll, assignment = _key(lease), None, None
        try:
            with self._database.write() as tx:
                if not self._finish_in(tx, lease, result):
                    return
                poll = self._take_poll() if QUEUE in tx.topics else None
                claimed = None if poll is None else self._claim_in(tx, poll.runner, poll.request_key)
            self._decisions.announce(key.run, tx.topics, tx.others)
            assignment = None if claimed is None else self._assign(*claimed)
        finally:
            if poll is not None:
                poll.answer.set_result(assignment)
                if assignment is None:
                    self._signals.notify(QUEUE)  # it waits, and perhaps nothing was announced
        self._checked.pop(lease, None)
        self._logbook.close(lease)  # the next step need not wait until the log is on the disk
        self._signals.notify(log_topic(lease.run, lease.step))

    def _take_poll(self) -> _Poll | None:
        try:
            _, poll = self._polls.popitem()
        except KeyError:
            return None
        return poll if poll.answer.set_running_or_notify_cancel() else None

    def _finish_in(self, tx: Transaction, lease: Lease, result: AttemptResult) -> bool:
        """Return False when it was handed in before and the answer was lost."""
        key = _key(lease)
        row = tx.attempts.get(key)
        if row is not None and row.state == "done":
            return False
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
        return True

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
