"""The loops: woken by signals and by times, never by ticks; what breaks one thing does not end them."""

import asyncio
import threading
import time
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import structlog

from flowbuild.core.errors import StoreError
from flowbuild.services.audit import Actor
from flowbuild.services.deliveries import DeliveryService
from flowbuild.services.hooks import HookChange, HookService
from flowbuild.services.intake import IntakeService
from flowbuild.services.schedules import SCHEDULES, ScheduleService
from flowbuild.services.signals import Signals
from flowbuild.testing.databases import new_sqlite
from flowbuild.testing.payloads import FORGES, Push
from flowbuild.testing.triggers import Clock, PlainSealer, StoringStarter, add_project, consequences_of, pipeline_file
from flowbuild.triggers import loop as loops
from flowbuild.triggers.intake import Intake
from flowbuild.triggers.lanes import AT_ONCE
from flowbuild.triggers.loop import loop
from flowbuild.triggers.polling import Polling
from flowbuild.triggers.scheduler import Scheduler

ANN = Actor("ann")
LIMIT = 30.0


class Started:
    """A starter that says when a run began."""

    def __init__(self, starter, running_loop):
        self._starter = starter
        self.began = asyncio.Queue()
        self._running = running_loop

    def __getattr__(self, name):
        return getattr(self._starter, name)

    def start(self, *arguments):
        run = self._starter.start(*arguments)
        self._running.call_soon_threadsafe(self.began.put_nowait, (arguments[0], arguments[1]))
        return run

    async def next(self):
        async with asyncio.timeout(LIMIT):
            return await self.began.get()


class Server:
    def __init__(self, path, running_loop):
        self.database = new_sqlite(path / "flow.db")
        self.signals = Signals()
        self.starter = Started(StoringStarter(self.database, self.signals, time.time), running_loop)
        self.starter.script.files = pipeline_file({"build": "push"})
        self.hooks = HookService(self.database, PlainSealer(), time.time)
        self.deliveries = DeliveryService(
            database=self.database, hooks=self.hooks, signals=self.signals, clock=time.time
        )
        self.service = IntakeService(
            database=self.database,
            consequences=consequences_of(self.database, self.starter, time.time),
            signals=self.signals,
            clock=time.time,
        )
        self.secrets = {}

    def add(self, project):
        add_project(self.database, project)
        _, self.secrets[project] = self.hooks.add(ANN, project, "github", "forge", HookChange())

    def receive(self, project, number=1):
        sent = FORGES["github"](Push(after=f"{number:040x}")).signed("github", self.secrets[project])
        return self.deliveries.receive(project, "forge", sent.headers, sent.body)

    @asynccontextmanager
    async def intake(self):
        trigger = Intake(service=self.service, signals=self.signals, clock=time.time)
        async with running(trigger.run()):
            yield


@asynccontextmanager
async def running(work):
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def logs():
    """What is logged here; other tests leave a log behind whose file is closed."""
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.fixture
async def server(tmp_path):
    made = await asyncio.to_thread(Server, tmp_path, asyncio.get_running_loop())
    yield made
    made.database.close()


async def test_a_delivery_is_looked_at_when_it_comes(server):
    await asyncio.to_thread(server.add, "one")
    async with server.intake():
        await asyncio.to_thread(server.receive, "one")
        assert await server.starter.next() == ("one", "build")
        await asyncio.to_thread(server.receive, "one", 2)
        assert await server.starter.next() == ("one", "build")


async def test_what_an_earlier_life_left_is_looked_at_first(server):
    await asyncio.to_thread(server.add, "one")
    await asyncio.to_thread(server.receive, "one")
    async with server.intake():
        assert await server.starter.next() == ("one", "build")


async def test_one_project_does_not_wait_for_another(server):
    for project in ("one", "two"):
        await asyncio.to_thread(server.add, project)
    entered, gate = asyncio.Event(), threading.Event()
    running_loop, begin = asyncio.get_running_loop(), server.starter.start

    def start(project, *arguments):
        if project == "one":
            running_loop.call_soon_threadsafe(entered.set)
            gate.wait(LIMIT)
        return begin(project, *arguments)

    server.starter.start = start
    async with server.intake():
        await asyncio.to_thread(server.receive, "one")
        async with asyncio.timeout(LIMIT):
            await entered.wait()
        await asyncio.to_thread(server.receive, "two")
        assert await server.starter.next() == ("two", "build")
        gate.set()
        assert await server.starter.next() == ("one", "build")


class Remotes:
    """Looks at projects: those of `hangs` do not answer until `gate` opens. What ended is in `looked`."""

    def __init__(self, names, hangs):
        self.gate, self.hangs, self.times = threading.Event(), hangs, dict.fromkeys(names, 0.0)
        self.looked, self._running = asyncio.Queue(), asyncio.get_running_loop()

    def due(self):
        return dict(self.times)

    def look(self, name):
        if name in self.hangs:
            self.gate.wait(LIMIT)
        self.times[name] = time.time() + 1000.0
        self._running.call_soon_threadsafe(self.looked.put_nowait, name)


async def test_remotes_that_hang_hold_up_nobody():
    """Not the other projects, and not who wants a thread for anything else."""
    hangs = {f"slow {number}" for number in range(AT_ONCE - 1)}
    remotes = Remotes([*hangs, "one", "two"], hangs)
    async with running(Polling(service=remotes, signals=Signals(), clock=time.time).run()), asyncio.timeout(LIMIT):
        assert {await remotes.looked.get() for _ in range(2)} == {"one", "two"}
        await asyncio.gather(*(asyncio.to_thread(int) for _ in range(100)))
        assert remotes.looked.empty()
        remotes.gate.set()
        assert {await remotes.looked.get() for _ in hangs} == hangs
    assert remotes.looked.empty()  # each once


async def test_an_intake_that_is_ended_finishes_what_it_began(server):
    await asyncio.to_thread(server.add, "one")
    entered, gate = asyncio.Event(), threading.Event()
    running_loop, begin = asyncio.get_running_loop(), server.starter.start

    def start(*arguments):
        running_loop.call_soon_threadsafe(entered.set)
        gate.wait(LIMIT)
        return begin(*arguments)

    server.starter.start = start
    receipt = await asyncio.to_thread(server.receive, "one")
    async with server.intake():
        async with asyncio.timeout(LIMIT):
            await entered.wait()
        running_loop.call_soon(gate.set)
    row = await asyncio.to_thread(server.deliveries.get, "one", receipt.id)
    assert row.state == "done"


async def test_a_database_that_is_away_for_a_while(server, monkeypatch):
    monkeypatch.setattr(loops, "RETRY_SECONDS", 0.0)
    await asyncio.to_thread(server.add, "one")
    broken, pending = [StoreError("away")] * 3, server.service.pending

    def look():
        if broken:
            raise broken.pop()
        return pending()

    server.service.pending = look
    async with server.intake():
        await asyncio.to_thread(server.receive, "one")
        assert await server.starter.next() == ("one", "build")
    assert broken == []


async def test_a_loop_without_anything_to_do_does_nothing():
    looked, signals = asyncio.Queue(), Signals()

    async def step():
        looked.put_nowait(None)

    async with running(loop(step, topic="x", signals=signals, clock=time.time)):
        async with asyncio.timeout(LIMIT):
            await looked.get()
        for _ in range(1000):
            await asyncio.sleep(0)
        assert looked.empty()
        signals.notify("y")
        for _ in range(1000):
            await asyncio.sleep(0)
        assert looked.empty()
        signals.notify("x")
        async with asyncio.timeout(LIMIT):
            await looked.get()


async def test_a_loop_wakes_up_at_the_time_it_was_told():
    clock, looked, times = Clock(), asyncio.Queue(), [0.01, None]

    async def step():
        looked.put_nowait(None)
        wait = times.pop(0)
        return None if wait is None else clock() + wait

    async with running(loop(step, topic="x", signals=Signals(), clock=clock)), asyncio.timeout(LIMIT):
        await looked.get()
        await looked.get()
    assert times == []


async def test_a_change_while_it_looks_is_not_missed():
    looked, signals, changes = asyncio.Queue(), Signals(), ["a change"]

    async def step():
        if changes:
            changes.pop()
            signals.notify("x")
        looked.put_nowait(None)

    async with running(loop(step, topic="x", signals=signals, clock=time.time)), asyncio.timeout(LIMIT):
        await looked.get()
        await looked.get()


async def test_the_scheduler_begins_what_is_due(server):
    clock = Clock()
    service = ScheduleService(
        database=server.database,
        starter=server.starter,
        signals=server.signals,
        clock=clock,
        default_branch=lambda _project: "main",
    )
    await asyncio.to_thread(add_project, server.database, "one")
    server.starter.script.files = pipeline_file({"often": '{schedule: {cron: "* * * * *"}}'})
    pipelines = await asyncio.to_thread(server.starter.pipelines, "one", None)
    async with running(Scheduler(service=service, signals=server.signals, clock=clock).run()):
        await asyncio.to_thread(service.take_over, "one", pipelines)
        for _ in range(3):
            clock.pass_(60)
            server.signals.notify(SCHEDULES)
            assert await server.starter.next() == ("one", "often")
    due = [cause.about["due_at"] for cause in server.starter.causes]
    assert [later - earlier for earlier, later in pairwise(due)] == [60, 60]
