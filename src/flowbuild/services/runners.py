"""The server's side of the runner protocol (`client.runner.RunnerClient`), in process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from flowbuild.client.runner import (
    EXCLUSIVE_SECONDS,
    LEASE_SECONDS,
    STOPS,
    Assignment,
    AttemptResult,
    Beat,
    Lease,
    LogEntry,
    Report,
    Stop,
)
from flowbuild.core.errors import LeaseLost
from flowbuild.core.events import AttemptFinished, AttemptHealthy, AttemptLaunched, AttemptStarted
from flowbuild.core.ids import EMBEDDED, CommitId, RunId, StepKey, runner_name
from flowbuild.core.states import StepState
from flowbuild.services.assignments import Assignments
from flowbuild.services.cache import StepCache
from flowbuild.services.decisions import LEASES, ORDERS, QUEUE, Clock, Decisions, log_topic, phase_topic, run_topic
from flowbuild.services.logbook import Logbook
from flowbuild.services.news import runner_topic
from flowbuild.services.overlays import LEFTOVERS
from flowbuild.services.phases import Began, began_of, next_word
from flowbuild.services.placing import Asking, Placing
from flowbuild.services.polls import Polls
from flowbuild.services.signals import Signals
from flowbuild.store.attempts import AttemptKey, AttemptRow
from flowbuild.store.database import Database, Transaction
from flowbuild.store.runs import RunRow

PATIENCE = 5.0  # seconds after which who left something for others looks whether they have it


class RunnerService:
    """Hands out attempts: to the embedded runner those of one owner's runs, to others those of all servers' runs.

    Which one is for `placing` to say. `ready` returns when the network of a run across machines can be joined.
    """

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
        placing: Placing,
        ready: Callable[[RunId], Awaitable[None]] | None = None,
    ) -> None:
        self._placing = placing
        self._ready = ready
        self._database = database
        self._decisions = decisions
        self._signals = signals
        self._assignments = assignments
        self._logbook = logbook
        self._cache = cache
        self._owner = owner
        self._clock = clock
        self._polls = Polls(signals)
        self._told: dict[AttemptKey, str] = {}  # orders to stop what was not yet reported: its assignment is on its way
        self._over: set[RunId] = set()
        self._forgotten: set[RunId] = set()  # by the embedded runner; also when that cannot be stored
        self._checked: dict[Lease, int] = {}  # leases found live, and at which version of their run

    async def claim(self, runner: str, *, request_key: str, wait: float) -> Assignment | None:
        """See RunnerClient. Raises ClusterError when the network of the run cannot be made; asking again tries it again."""
        assignment = await self._found(runner, request_key, wait)
        if assignment is not None and assignment.network and self._ready is not None:
            await self._ready(RunId(assignment.lease.run))
        return assignment

    async def _found(self, runner: str, request_key: str, wait: float) -> Assignment | None:
        deadline = asyncio.get_running_loop().time() + wait
        with self._polls.asking(runner):
            while True:
                token = self._signals.token(QUEUE)
                assignment, left = await asyncio.to_thread(self._claim, runner, request_key)
                seconds = deadline - asyncio.get_running_loop().time()
                if assignment is not None or seconds <= 0:
                    return assignment
                seconds = min(seconds, PATIENCE) if left else seconds
                assignment = await self._polls.wait(runner, request_key, token, seconds)
                if assignment is not None:
                    return assignment

    async def phase(self, lease: Lease, phase: str) -> None:
        """See RunnerClient."""
        topic = phase_topic(lease.run)
        before = self._signals.said(topic).get(lease.step, "")
        self._signals.say(topic, lease.step, next_word(before, lease, phase, self._clock()))

    def phases(self, run: str) -> Mapping[str, Began]:
        """Return what the running steps of a run have done so far and do now, by step key."""
        return {step: began_of(word) for step, word in self._signals.said(phase_topic(run)).items()}

    async def cached(self, lease: Lease, key: str) -> AttemptResult | None:
        """See RunnerClient."""
        return await asyncio.to_thread(self._cache.look_up, _key(lease), key)

    async def launched(self, lease: Lease, compose: Mapping[str, Any]) -> None:
        """See RunnerClient."""
        await asyncio.to_thread(self._launched, lease, compose)

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

    async def heartbeat(self, runner: str, report: Report, *, wait: float) -> Beat:
        """See RunnerClient."""
        token = self._signals.token(ORDERS)
        beat = await asyncio.to_thread(self._beat, runner, report)
        if not beat.urgent and await self._signals.wait(ORDERS, token, wait):
            beat = await asyncio.to_thread(self._beat, runner, report)
        return beat

    async def finish(self, lease: Lease, result: AttemptResult) -> None:
        """See RunnerClient."""
        await asyncio.to_thread(self._finish, lease, result)
        self._signals.say(phase_topic(lease.run), lease.step, "")

    async def forgotten(self, runner: str, run: str) -> None:
        """See RunnerClient."""
        if runner_name(runner) == EMBEDDED:
            self._forgotten.add(RunId(run))
            self._signals.notify(run_topic(run))
        await asyncio.to_thread(self._forget, runner_name(runner), RunId(run))
        self._signals.notify(LEFTOVERS)

    async def settled(self, run: RunId) -> None:
        """Return when nothing of an ended run is left on the machine of the embedded runner."""
        while True:
            token = self._signals.token(run_topic(run))
            if run in self._over and (run in self._forgotten or not await asyncio.to_thread(self._has_leftovers, run)):
                return
            await self._signals.wait(run_topic(run), token)

    def run_ended(self, run: RunId) -> None:
        """Tell runners to clear away what they have of a run. Blocking."""
        with self._database.write() as tx:
            tx.leftovers.end(run)
        for step in self.phases(run):
            self._signals.say(phase_topic(run), step, "")
        self._over.add(run)
        self._signals.notify(ORDERS, run_topic(run))

    def swept(self, living: Collection[str]) -> None:
        """Remember that nothing is left here of ended runs, but of those that other living owners drive. Blocking."""
        with self._database.write() as tx:
            tx.leftovers.clear(EMBEDDED, living)

    def inherited(self, runner: str) -> Sequence[tuple[Lease, bool]]:
        """Return what earlier lives of a runner held and this one will get, and whether it was launched. Blocking."""
        with self._database.read() as tx:
            rows = tx.attempts.orphans(runner=runner, owner=self._owner)
        return [(_lease(row.key), row.state == "launched") for row in rows]

    def require_holder(self, runner: str, lease: Lease) -> None:
        """Raise LeaseLost unless a runner of that name has, or had, the lease. Blocking."""
        with self._database.read() as tx:
            row = tx.attempts.get(_key(lease))
        if row is None or runner_name(row.runner) != runner:
            raise LeaseLost(f"the lease on attempt {lease.attempt} of step {lease.step!r} is not that of {runner}")

    def _claim(self, runner: str, request_key: str) -> tuple[Assignment | None, bool]:
        """Return what there is for a runner, and whether something was left for others."""
        with self._database.write() as tx:
            claimed, left = self._claim_in(tx, runner, request_key)
        return None if claimed is None else self._assign(*claimed), left

    def _claim_in(
        self, tx: Transaction, runner: str, request_key: str, *, wait: bool = True
    ) -> tuple[tuple[RunRow, AttemptRow] | None, bool]:
        now, name = self._clock(), runner_name(runner)
        if not tx.attempts.begin_claim(runner if name == EMBEDDED else name, wait=wait):
            return None, False
        row = tx.attempts.answered(runner=runner, request_key=request_key)
        if row is None:
            row = tx.attempts.adopt(runner=runner, request_key=request_key, owner=self._owner, now=now, wait=wait)
        if row is None:
            asking = Asking(runner, name, request_key, self._polls.names())
            found = self._placing.take(tx, asking, now=now, lease=LEASE_SECONDS, wait=wait)
            self._polls.leave_for(found.left_for)
            row = found.row
        if row is None:
            return None, bool(found.left_for)
        tx.leftovers.add(name, row.key.run)
        started = AttemptStarted(row.key.step, row.key.attempt, row.key.epoch, runner)
        stored = self._decisions.apply_in(tx, row.key.run, [started])
        if stored.run.pipeline.step(row.key.step).environment is not None:
            tx.attempts.prolong(row.key, now, EXCLUSIVE_SECONDS)
        return (stored, row), False

    def _assign(self, stored: RunRow, row: AttemptRow) -> Assignment:
        """Tell who watches that an attempt was claimed, once that is stored."""
        name = runner_name(row.runner)
        self._decisions.announce(row.key.run, (runner_topic(name), *(() if name == EMBEDDED else (LEASES,))))
        ago = None if row.started_at is None else max(0.0, self._clock() - row.started_at)
        return replace(self._assignments.make(stored, row), launched_ago=ago)

    def _launched(self, lease: Lease, compose: Mapping[str, Any]) -> None:
        key = _key(lease)
        with self._database.write() as tx:
            tx.runs.lock(key.run)
            if (
                self._live(tx.attempts.get(key), lease).state != "launched"
            ):  # not told again by a runner for which we were away
                tx.attempts.launched(key, self._clock())
                self._decisions.apply_in(tx, key.run, [AttemptLaunched(key.step, key.attempt, key.epoch)])
        self._logbook.keep_compose(lease, compose)
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
            tx.runs.lock(key.run)
            self._live(tx.attempts.get(key), lease)
            step = tx.runs.get(key.run).run.steps[key.step]
            if step.state is StepState.SERVING and not step.returning:
                return  # told again by a runner for which we were away
            tx.attempts.detail(key, _details(result))
            commit = CommitId(result.commit) if result.commit else None
            event = AttemptHealthy(key.step, key.attempt, key.epoch, commit, result.variables)
            self._decisions.apply_in(tx, key.run, [event])
        self._decisions.announce(key.run, tx.topics, tx.others)

    def _beat(self, runner: str, report: Report) -> Beat:
        name, held = runner_name(runner), {_key(each.lease): each.stop for each in report.held}
        with self._database.write() as tx:
            tx.attempts.renew(runner, held, self._clock())
            has = {row.key: row.stop for row in tx.attempts.held(runner)}
            ended = tx.leftovers.of_ended(name, self._owner if name == EMBEDDED else None)
        wanted = {**dict.fromkeys(held, "force"), **has}  # also an end of what it has no right to any more
        stops = [Stop(_lease(key), stop == "force") for key, stop in wanted.items() if self._is_news(key, stop, held)]
        return Beat(tuple(stops), tuple(run for run in ended if run not in report.forgetting))

    def _is_news(self, key: AttemptKey, stop: str, held: Mapping[AttemptKey, str]) -> bool:
        """Whether a runner does not know an order to stop; what it does not report yet is on its way to it."""
        if key in held:
            self._told.pop(key, None)
            return STOPS.index(stop) > STOPS.index(held[key])
        news = STOPS.index(stop) > STOPS.index(self._told.get(key, ""))
        if news:
            self._told[key] = stop
        return news

    def _forget(self, name: str, run: RunId) -> None:
        with self._database.write() as tx:
            tx.leftovers.forget(name, run)

    def _has_leftovers(self, run: RunId) -> bool:
        with self._database.read() as tx:
            return tx.leftovers.has(EMBEDDED, run)

    def _finish(self, lease: Lease, result: AttemptResult) -> None:
        """Record how an attempt ended; what follows it goes to a claim that waits, in the same transaction."""
        key, poll, assignment = _key(lease), None, None
        try:
            with self._database.write() as tx:
                ended = self._finish_in(tx, lease, result)
                if ended is None:
                    return
                poll = self._polls.take(runner_name(ended.runner)) if QUEUE in tx.topics else None
                claimed = None
                if poll is not None:
                    claimed, _ = self._claim_in(tx, poll.runner, poll.request_key, wait=False)
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

    def _finish_in(self, tx: Transaction, lease: Lease, result: AttemptResult) -> AttemptRow | None:
        """Return the attempt as it was; None when its end was handed in before and the answer was lost."""
        key = _key(lease)
        tx.runs.lock(key.run)
        row = tx.attempts.get(key)
        if row is not None and row.state == "done" and (row.outcome, row.commit) == (result.outcome, result.commit):
            return None
        row = self._live(row, lease)
        tx.topics.add(runner_topic(runner_name(row.runner)))
        tx.topics.update({QUEUE} if row.reserves else ())  # others may fit now
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
        return row

    def _live(self, row: AttemptRow | None, lease: Lease) -> AttemptRow:
        if row is None or row.state not in ("leased", "launched"):
            raise LeaseLost(f"the lease on attempt {lease.attempt} of step {lease.step!r} is over")
        return row


def _key(lease: Lease) -> AttemptKey:
    return AttemptKey(RunId(lease.run), StepKey(lease.step), lease.attempt, lease.epoch)


def _lease(key: AttemptKey) -> Lease:
    return Lease(key.run, key.step, key.attempt, key.epoch)


def _details(result: AttemptResult) -> dict[str, object]:
    told: dict[str, object] = {
        "phases": dict(result.phases),
        "changes": dict(result.changes),
        "images": dict(result.images),
        "services": {name: asdict(service) for name, service in result.services.items()},
    }
    return told if result.cached is None else {**told, "cached": asdict(result.cached)}
