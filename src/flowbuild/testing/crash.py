"""Kills the server at every point where something outside its memory may have changed, and looks at what the next life makes of it.

A point is the moment before or after a call that leaves the process: a transaction (also between its last statement and
its commit), an effect, a call of the runner protocol, of the engine, of the spool, of the working directories, of the
run repository, of the log. Nothing in the product knows about them: `Reaper.watching` wraps the methods for as long as
a life lasts. At the chosen point the life dies: that call and every later one raise `Killed`, so whatever still unwinds
changes nothing any more; the kernel's part (locks of open files) is done by closing them. Containers live on, in the
`Machine` of the dummy engine.
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

from sqlalchemy import func, select

from flowbuild.core.errors import NotFound
from flowbuild.core.ids import step_ref
from flowbuild.orchestrator.effects import Effects
from flowbuild.runner.spool import Spool
from flowbuild.services.logbook import Logbook
from flowbuild.services.owners import Ownership
from flowbuild.services.runners import RunnerService
from flowbuild.store.database import Database, Transaction
from flowbuild.store.run_lists import OPEN_STATES
from flowbuild.store.tables import attempts, locks, outbox, runs, timers
from flowbuild.testing.engine import DummyEngine, Machine
from flowbuild.testing.home import LIMIT, Home, Life
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.slots import Slots

WATCHED: dict[type, tuple[str, ...]] = {
    Effects: ("carry_out",),
    Spool: ("put", "drop"),
    Slots: ("acquire", "adopt", "commit", "release", "drop_run", "sweep"),
    RunRepository: ("initial", "merge", "with_variables", "write_attempt_ref", "accept"),
    Logbook: ("append", "close"),
    RunnerService: ("claim", "cached", "launched", "healthy", "append_log", "finish", "forgotten", "run_ended"),
    DummyEngine: ("images", "network", "create", "adopt", "start", "stop", "remove", "sweep"),
}


class Killed(BaseException):
    """The process is dead; nothing may catch this."""


class Reaper:
    """Counts the points of one life and kills it at one of them: `point` is "name#number", empty for none.

    `watched`: the methods, WATCHED for a server with its transactions.
    """

    def __init__(self, point: str = "", watched: Mapping[type, tuple[str, ...]] | None = None) -> None:
        self.point = point
        self._watched = watched
        self.points: list[str] = []
        self.dead = False
        self.died = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def pass_by(self, name: str) -> None:
        """Say that a point is reached."""
        with self._lock:
            if not self.dead:
                self._counts[name] += 1
                here = f"{name}#{self._counts[name]}"
                self.points.append(here)
                self.dead = here == self.point
                if self.dead:
                    self._loop.call_soon_threadsafe(self.died.set)
            if self.dead:
                raise Killed(self.point)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Wrap the methods."""
        with ExitStack() as stack:
            for owner, names in (self._watched or WATCHED).items():
                for name in names:
                    stack.enter_context(patch.object(owner, name, self._around(owner, name)))
            if self._watched is not None:
                yield
                return
            stack.enter_context(patch.object(Database, "write", self._transaction(Database.write)))
            stack.enter_context(patch.object(Ownership, "release", self._release(Ownership.release)))
            yield

    def _around(self, owner: type, name: str) -> Callable[..., Any]:
        original, label = getattr(owner, name), f"{owner.__name__}.{name}"

        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            self.pass_by(f"before {label}")
            result = original(*args, **kwargs)
            self.pass_by(f"after {label}")
            return result

        @functools.wraps(original)
        async def call_later(*args: Any, **kwargs: Any) -> Any:
            self.pass_by(f"before {label}")
            result = await original(*args, **kwargs)
            self.pass_by(f"after {label}")
            return result

        return call_later if asyncio.iscoroutinefunction(original) else call

    def _transaction(self, original: Callable[[Database], Any]) -> Callable[[Database], Any]:
        @contextmanager
        def write(database: Database) -> Iterator[Transaction]:
            self.pass_by("before transaction")
            with original(database) as tx:
                yield tx
                self.pass_by("before commit")
            self.pass_by("after commit")

        return write

    def _release(self, original: Callable[[Ownership], None]) -> Callable[[Ownership], None]:
        def release(ownership: Ownership) -> None:
            if not self.dead:
                original(ownership)
                return
            if ownership._socket is not None:  # noqa: SLF001 (what the kernel does to a dead process)
                self._loop.remove_reader(ownership._socket)  # noqa: SLF001
                ownership._socket.close()  # noqa: SLF001
            if ownership._lock is not None:  # noqa: SLF001
                os.close(ownership._lock)  # noqa: SLF001

        return release


class HasMachine(Protocol):
    """A `Home`, or what else has a machine with an engine."""

    machine: Machine

    def engine(self) -> DummyEngine:
        """Return a further engine on the machine."""
        ...


class LedgerEngine(DummyEngine):
    """A dummy engine that writes down which containers it really started. The ledger belongs to the machine."""

    def __init__(self, home: HasMachine, ledger: list[str]) -> None:
        super().__init__(home.machine, sleep=home.engine()._sleep)  # noqa: SLF001
        self.ledger = ledger

    def _start(self, project: str, service: str) -> None:
        super()._start(project, service)
        state = self._containers(project)[service].state
        if state is not None and state.status == "running":
            self.ledger.append(f"{project}/{service}")


async def live_and_die(
    home: Home, ledger: list[str], reaper: Reaper, work: Callable[[Life], Awaitable[object]]
) -> None:
    """Do some work in a life that ends at the reaper's point, or with the work when that is not reached."""
    loop = asyncio.get_running_loop()
    before = asyncio.all_tasks()
    pool = ThreadPoolExecutor(max_workers=8)
    loop.set_default_executor(pool)

    lives: list[Life] = []

    async def life() -> None:
        async with home.life(engine=LedgerEngine(home, ledger)) as one:
            lives.append(one)
            await work(one)

    with reaper.watching():
        living, dying = asyncio.create_task(life()), asyncio.create_task(reaper.died.wait())
        await asyncio.wait({living, dying}, return_when=asyncio.FIRST_COMPLETED, timeout=2 * LIMIT)
        error = living.exception() if living.done() and not living.cancelled() else None
        containers = {container.life for _, unit in home.machine.units.values() for container in unit.values()}
        while tasks := asyncio.all_tasks() - before - containers:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        loop.set_default_executor(ThreadPoolExecutor(max_workers=8))
        await asyncio.to_thread(pool.shutdown)  # what its threads still do comes to the next point
        for dead in lives:
            dead.local.logbook.close_all()  # a thread may have opened a log after all were closed
    if not reaper.dead and error is not None:
        raise error


async def recover(home: Home, ledger: list[str]) -> str:
    """Live again and go on with what was interrupted; return the id of the run, "" when none was begun."""
    async with asyncio.timeout(2 * LIMIT), home.life(engine=LedgerEngine(home, ledger)) as life:
        try:
            run = (await life.client.resume("", secrets={})).id
        except NotFound:
            known = await life.client.runs(everything=True)
            return known[0].id if known else ""
        await life.finished(run)
        return run


async def examine(home: Home, ledger: list[str], run: str, facts: dict[str, str]) -> list[str]:
    """Return what is wrong after the last life; `facts` is what an undisturbed life made of the run."""
    wrong = home.leftovers()
    wrong += [f"{name} was started {count} times" for name, count in Counter(ledger).items() if count > 1]
    async with home.looking() as life:
        wrong += await asyncio.to_thread(_unsettled, life.local.database)
        known = {view.id for view in await life.client.runs(everything=True, limit=1000)}
        wrong += [f"repository of no run {path.name}" for path in home.data.glob("runs/*") if path.name not in known]
        if not run:
            return wrong + [f"{name} was started for no run" for name in ledger]
        found = await facts_of(life, run)
    return wrong + [f"{key}: {found.get(key)}, not {value}" for key, value in facts.items() if found.get(key) != value]


async def facts_of(life: Life, run: str) -> dict[str, str]:
    """Return what must be the same however often the program died: outcomes, attempts, logs, content of results."""
    view = await life.client.get(run)
    repository = await asyncio.to_thread(RunRepository.open, Path(view.repository))
    facts = {"run": str(view.state)}
    for step in view.steps:
        tried = [f"{attempt.outcome}/{attempt.reason}" for attempt in step.attempts]
        facts[step.key] = f"{step.outcome}/{step.reason}/{step.exit_code} after {tried}"
        if step.result_commit is not None:
            layout = repository.layout(step.result_commit)
            accepted = repository.refs.read(step_ref(step.key)) == step.result_commit
            facts[f"result of {step.key}"] = f"{layout.workspace.hex()} {dict(layout.variables)} accepted: {accepted}"
        output = [chunk.data async for chunk in life.client.logs(run, step.key) if chunk.service != "flow"]
        facts[f"log of {step.key}"] = repr(b"".join(output))
    return facts


def _unsettled(database: Database) -> list[str]:
    """Return what the database still wants to happen although every run is final."""
    tables = (outbox, timers, locks, attempts.select().where(attempts.c.state != "done").subquery())
    with database.read() as tx:
        counts = [tx._connection.execute(select(func.count()).select_from(table)).scalar() for table in tables]  # noqa: SLF001
        open_runs = tx._connection.execute(select(runs.c.state).where(runs.c.state.in_(OPEN_STATES))).all()  # noqa: SLF001
    names = ("effects", "timers", "locks", "attempts")
    return [f"{count} {name} left" for name, count in zip(names, counts, strict=True) if count] + [
        f"a run is {state}" for (state,) in open_runs
    ]
