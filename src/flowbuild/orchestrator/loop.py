"""Drives the runs of one owner: carries out effects as they are decided and fires timers when they are due. No ticks.

Start/stop contract: `run` is started once and ends when its task is cancelled and the effects that were under way are
carried out and forgotten. When the program is killed instead, the next life repeats them: a row of the outbox is deleted
only after its effect.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import structlog

from flowbuild.core.commands import Command, PrepareInput
from flowbuild.core.errors import StoreError, is_full
from flowbuild.core.events import TimerFired
from flowbuild.core.ids import RunId
from flowbuild.orchestrator.effects import Effects
from flowbuild.services.decisions import OUTBOX, Clock, Decisions
from flowbuild.services.signals import Signals
from flowbuild.services.threads import in_thread
from flowbuild.store.database import Database

log = structlog.get_logger()
RETRY_SECONDS = 1.0  # after the first failure of an effect; twice as long after each further one
RETRY_MOST = 30.0
TRIES = 5  # of an effect that a run can go on without


class Orchestrator:
    """The loop. Effects of one run happen one after another, those of different runs side by side.

    Inputs are prepared first: the next step waits for them, and nothing that was decided with them changes them.
    The rest happens in the order it was decided. An effect that fails is tried again, later and later; after TRIES the run
    goes on without it where that is possible (`Effects.give_up`). With `patient` a database that is away and a full
    disk are waited for.
    """

    def __init__(
        self,
        *,
        database: Database,
        decisions: Decisions,
        effects: Effects,
        signals: Signals,
        owner: str,
        clock: Clock,
        patient: bool = False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._decisions = decisions
        self._effects = effects
        self._signals = signals
        self._owner = owner
        self._clock = clock
        self._patient = patient
        self._sleep = sleep
        self._busy: dict[RunId, asyncio.Task[None]] = {}
        self._failures: Counter[int] = Counter()  # by row of the outbox

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    try:
                        await self._work(group)
                    except Exception as error:  # noqa: BLE001 (a database that is away for a while comes back)
                        log.error("orchestrator_failed", error=repr(error))
                        await self._sleep(RETRY_SECONDS)
        finally:
            self._busy.clear()

    async def _work(self, group: asyncio.TaskGroup) -> None:
        """Do what there is to do now, or wait until there is something."""
        token = self._signals.token(OUTBOX)
        busy = frozenset(self._busy)  # some of what is pending for these may be done by the time we have looked
        pending, due, next_at = await asyncio.to_thread(self._look)
        for run, commands in _by_run(pending).items():
            if run not in busy:
                self._busy[run] = group.create_task(self._carry_out(run, commands))
        for run, name in due:
            await asyncio.to_thread(self._fire, run, name)
        if not due:
            patience = None if next_at is None else max(0.0, next_at - self._clock())
            await self._signals.wait(OUTBOX, token, patience)

    def _look(self) -> tuple[Sequence[tuple[int, RunId, Command]], Sequence[tuple[RunId, str]], float | None]:
        with self._database.read() as tx:
            return (
                tx.outbox.pending(self._owner),
                tx.timers.due(self._owner, self._clock()),
                tx.timers.next_at(self._owner),
            )

    def _fire(self, run: RunId, name: str) -> None:
        with self._database.write() as tx:
            tx.runs.lock(run)
            tx.timers.clear(run, name)
            self._decisions.apply_in(tx, run, [TimerFired(name)])
        self._decisions.announce(run, tx.topics, tx.others)

    async def _carry_out(self, run: RunId, commands: Sequence[tuple[int, Command]]) -> None:
        try:
            pause = await in_thread(self._carry_out_all, run, commands)
            if pause:
                await self._sleep(pause)
        except Exception as error:  # noqa: BLE001 (one run must not end the others)
            log.error("effects_failed", run=run, error=repr(error))
            await self._sleep(RETRY_SECONDS)
        finally:
            self._busy.pop(run, None)
            self._signals.notify(OUTBOX)

    def _carry_out_all(self, run: RunId, commands: Sequence[tuple[int, Command]]) -> float:
        """Carry out effects until one fails, then forget those that happened, in one transaction.

        Returns how many seconds to wait before the rest is tried again, 0 when all is done.
        """
        done: list[int] = []
        pause = 0.0
        for identifier, command in sorted(commands, key=lambda entry: not isinstance(entry[1], PrepareInput)):
            try:
                self._effects.carry_out(run, command)
            except Exception as error:  # noqa: BLE001 (whatever it was, the run must get an answer in the end)
                pause = self._failed(run, identifier, command, error)
                if pause:
                    break
            done.append(identifier)
            self._failures.pop(identifier, None)
        if done:
            with self._database.write() as tx:
                for identifier in done:
                    tx.outbox.done(identifier)
        return pause

    def _failed(self, run: RunId, identifier: int, command: Command, error: Exception) -> float:
        """Return how long to wait until an effect is tried again, 0 when the run goes on without it."""
        self._failures[identifier] += 1
        tries = self._failures[identifier]
        log.error("effect_failed", run=run, command=command.type, tries=tries, error=repr(error))
        waited_for = self._patient and (isinstance(error, StoreError) or is_full(error))
        if tries >= TRIES and not waited_for and self._effects.give_up(run, command, error):
            return 0.0
        return min(RETRY_SECONDS * 2.0 ** (tries - 1), RETRY_MOST)


def _by_run(pending: Sequence[tuple[int, RunId, Command]]) -> dict[RunId, list[tuple[int, Command]]]:
    runs: dict[RunId, list[tuple[int, Command]]] = {}
    for identifier, run, command in pending:
        runs.setdefault(run, []).append((identifier, command))
    return runs
