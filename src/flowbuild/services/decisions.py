"""Applies events to runs: one database transaction reads the run, decides, stores state, event and effects.

Effects that concern only the database (queue, orders to stop, timers, locks of environments) happen in the same
transaction; the others go through the outbox to the orchestrator.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from flowbuild.core.commands import AcquireLock, Command, Enqueue, FinishRun, ReleaseLock, SetTimer, StopAttempt
from flowbuild.core.events import AttemptFinished, CancelRequested, Event, LockGranted, RunStarted
from flowbuild.core.ids import RunId, StepKey
from flowbuild.core.machine import decide
from flowbuild.core.notifying import happened as news_of
from flowbuild.core.run import Run
from flowbuild.core.states import Outcome, Reason, StepState
from flowbuild.services import groups
from flowbuild.services.lines import line_of
from flowbuild.services.needs import needs_of
from flowbuild.services.notices import run_ended, run_news
from flowbuild.services.signals import Signals
from flowbuild.store.attempts import AttemptKey
from flowbuild.store.database import Database, Transaction
from flowbuild.store.runs import RunRow

Clock = Callable[[], float]

QUEUE = "queue"  # attempts wait for runners
ORDERS = "orders"  # something is to be stopped, or a run is over
OUTBOX = "outbox"  # effects or timers wait for the orchestrator
LEASES = "leases"  # a runner got one that may run out
ALL = (QUEUE, ORDERS, OUTBOX)


def run_topic(run: str) -> str:
    """Return the topic that changes with every event of a run."""
    return f"run:{run}"


def phase_topic(run: str) -> str:
    """Return the topic that changes with every event of a run, and when a step does something else than before."""
    return f"phase:{run}"


def log_topic(run: str, step: str) -> str:
    """Return the topic that changes when the log of a step grows or ends."""
    return f"log:{run}/{step}"


class Decisions:
    """The only place where a run changes. Blocking: call from threads. `wake` tells another program that its run changed."""

    def __init__(self, database: Database, signals: Signals, clock: Clock, wake: Callable[[RunId], None]) -> None:
        self._database = database
        self._signals = signals
        self._clock = clock
        self._wake = wake

    def apply(self, run: RunId, *events: Event) -> Run:
        """Apply events in order and return the run after them; raises NotFound."""
        with self._database.write() as tx:
            after = self.apply_in(tx, run, events)
        self.announce(run, tx.topics, tx.others)
        return after.run

    def apply_in(self, tx: Transaction, run: RunId, events: Iterable[Event]) -> RunRow:
        """Apply events inside a transaction of the caller, who announces `tx.topics` and `tx.others` when it is committed."""
        row = tx.runs.get(run)
        state, happened, queue = row.run, [], deque(events)
        while queue:
            event, now = queue.popleft(), self._clock()
            state, commands = decide(state, event, now)
            happened.append((now, event))
            if isinstance(event, LockGranted):
                self._deploys(tx, state, event, now)
            for command in commands:
                queue.extend(self._carry_out(tx, state, command, now))
        tx.topics.update(log_topic(run, key) for key in _decided(row.run, state))  # of some there never was a log
        after = replace(row, run=state, last_seq=tx.runs.save(state, happened, row.last_seq))
        if news := news_of(row.run, state):
            run_news(tx, after, news, happened[-1][0])
        return after

    @staticmethod
    def _deploys(tx: Transaction, state: Run, event: LockGranted, now: float) -> None:
        environment = state.pipeline.step(event.step).environment
        if environment is not None:
            tx.deployments.began(state.id, event.step, environment.name, now)

    def begin_in(self, tx: Transaction, run: RunId) -> None:
        """Begin a run that was just stored, or let it wait until its group has room; see `apply_in`."""
        if groups.join(tx, run, self._clock()):
            self.apply_in(tx, run, [RunStarted()])
        else:
            tx.topics.add(OUTBOX)

    def cancel(self, run: RunId, by: str, reason: Reason) -> None:
        """End a run, whichever process drives it; nothing happens when it is final. Raises NotFound."""
        self.apply(run, CancelRequested(by, reason))
        self._wake(run)

    def settle_group(self, run: RunId) -> None:
        """After a run has joined its group, or left it: older ones make room for it, and those whose turn it is begin.

        May be repeated; see `services.groups`.
        """
        with self._database.read() as tx:
            row = tx.runs.get(run)
            group = row.run.pipeline.concurrency
            line = tx.concurrency.line(row.project, group.group) if group else ()
        if group is None:
            return
        for older in groups.superseded(line, run):
            self.cancel(older, f"run {row.number}", Reason.SUPERSEDED)
        while True:
            with self._database.write() as tx:
                following = tx.concurrency.begin_next(row.project, group.group, self._clock())
                if following is not None:
                    self.apply_in(tx, following, [RunStarted()])
            if following is None:
                return
            self.announce(following, tx.topics, {*tx.others, following})

    def carry_out(self, run: RunId, command: Command) -> None:
        """Carry out by itself an effect that concerns only the database and yet is in the outbox: see `_pass_on`; an earlier version left some."""
        with self._database.write() as tx:
            state = tx.runs.get(run).run
            if isinstance(command, AcquireLock) and state.steps[command.step].state is not StepState.WAITING:
                return  # it has left the line meanwhile and must not stand in it again
            self.apply_in(tx, run, self._carry_out(tx, state, command, self._clock()))
        self.announce(run, tx.topics, tx.others)

    def announce(self, run: RunId, topics: Iterable[str] = ALL, others: Iterable[RunId] = ()) -> None:
        """Wake whoever has something to do after a committed change of a run, and of others that it changed.

        Waking everybody each time cost more than the changes: claim and heartbeat are write transactions.
        """
        others = tuple(others)
        changed = [topic(each) for each in (run, *others) for topic in (run_topic, phase_topic)]
        self._signals.notify(*changed, *topics)
        for other in others:
            self._wake(other)

    def _carry_out(self, tx: Transaction, state: Run, command: Command, now: float) -> list[Event]:
        run = state.id
        match command:
            case Enqueue(step, attempt, epoch, commit):
                needs, warm = needs_of(state, step), tx.attempts.maker(run, commit)
                tx.attempts.enqueue(AttemptKey(run, step, attempt, epoch), commit, now, needs, warm)
                tx.topics.add(QUEUE)
            case StopAttempt(step, attempt, epoch, force):
                tx.topics.add(ORDERS)
                return _stop(tx, AttemptKey(run, step, attempt, epoch), force=force, now=now)
            case AcquireLock(step, lock):
                line = line_of(tx, tx.runs.project(run), lock)
                return [LockGranted(step)] if tx.locks.join(line, run, step) else []
            case ReleaseLock(step, lock):
                line = line_of(tx, tx.runs.project(run), lock)
                held = tx.locks.holds(line, run, step)
                waiting = tx.locks.leave(line, run, step)
                return self._pass_on(tx, run, lock, waiting) if held else []
            case SetTimer(name, at):
                tx.timers.set(run, name, at)
                tx.topics.add(OUTBOX)
            case _:
                if isinstance(command, FinishRun):
                    tx.timers.clear(run)
                    run_ended(tx, run, now)
                    tx.concurrency.leave(run)
                tx.outbox.put(run, [command])
                tx.topics.add(OUTBOX)
        return []

    def _pass_on(self, tx: Transaction, run: RunId, lock: str, line: Sequence[tuple[RunId, StepKey]]) -> list[Event]:
        """Grant a lock to the first of those who wait for it: one of this run gets the event, one of another run has it.

        The lock is given back and granted in one transaction, so no death of a program can come between the two. A run
        that is being decided about elsewhere just now asks for it once more: two runs that hand locks to each other must
        not wait for each other.
        """
        tx.others.update(waiting for waiting, _step in line if waiting != run)
        if not line:
            return []
        holder, step = line[0]
        if holder == run:
            return [LockGranted(step)]
        if not tx.runs.lock(holder, wait=False):
            tx.outbox.put(holder, [AcquireLock(step, lock)])
            tx.topics.add(OUTBOX)
            return []
        self.apply_in(tx, holder, [LockGranted(step)])
        return []


def _decided(before: Run, after: Run) -> Iterator[StepKey]:
    for key, step in after.steps.items():
        if step.outcome is not None and before.steps[key].outcome is None:
            yield key


def _stop(tx: Transaction, key: AttemptKey, *, force: bool, now: float) -> list[Event]:
    row = tx.attempts.request_stop(key, force=force)
    if row is None or row.state != "queued":
        return []  # its runner answers
    ended = AttemptFinished(key.step, key.attempt, key.epoch, Outcome.CANCELLED)
    tx.attempts.finish(key, outcome=Outcome.CANCELLED, reason=None, message="", exit_code=None, commit=None, now=now)
    return [ended]
