"""A runner on another machine is killed at every point where it could have changed something; its next life goes on.

FLOW_CRASH_POINTS says at how many of the points (default 4, spread evenly, "all" for every one, or their names),
FLOW_SEED where the first one is.
"""

import asyncio
import os
import random
import shutil
import weakref
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import ContextVar

import pytest

from flowbuild.runner.remote import RemoteClient
from flowbuild.runner.repositories import FarRepositories
from flowbuild.runner.spool import Spool
from flowbuild.testing import crash, site
from flowbuild.testing.engine import DummyEngine
from flowbuild.testing.far import FarMachine
from flowbuild.testing.home import LIMIT, Home, step
from flowbuild.workspace.slots import Slots

WANTED = os.environ.get("FLOW_CRASH_POINTS", "4")
SEED = int(os.environ.get("FLOW_SEED", "1"))
STEPS = {
    "a": step(write=f"big=x*{1 << 20}", log="from a\n", then="b c served"),
    "b": step(write="b=1", log="from b\n", then="d"),
    "c": step(write="c=1", then="d", sleep=1),
    "served": step(write="s=1", sleep=10000, health=True, log="up\n", then="d", more={"background": True}),
    "d": step(write="d=1", log="merged\n", then="flaky deploy"),
    "flaky": step(exit=3, write="f=1", more={"retry": {"max": 1, "on": ["failed"]}}),
    "deploy": step(write="e=1", more={"environment": {"name": "qa"}}),
}
WATCHED = {
    Spool: ("put", "drop", "sweep"),
    Slots: ("acquire", "adopt", "commit", "release", "drop_run", "sweep"),
    FarRepositories: ("fetch", "push", "forget", "_git", "_download", "_upload"),
    RemoteClient: (
        "hello",
        "claim",
        "launched",
        "healthy",
        "log_state",
        "append_log",
        "heartbeat",
        "finish",
        "forgotten",
    ),
    DummyEngine: ("images", "network", "create", "adopt", "start", "stop", "remove", "sweep"),
}
OURS = ContextVar("OURS", default=False)  # set in the runner that is to die, and in all it starts

pytestmark = [pytest.mark.timeout(3600), pytest.mark.slow]


class Bench:
    """A server with a project that is the same each time, and a machine that is its runner."""

    def __init__(self, template, top):
        shutil.copytree(template.top, top / "server", symlinks=True)
        self.home, self.far, self.ledger = Home(top / "server"), FarMachine(top / "far"), []

    @asynccontextmanager
    async def server(self):
        async with site.open_site(self.home, embedded=False) as served:
            await self.far.register(served)
            yield served

    def life(self):
        return self.far.life(engine=crash.LedgerEngine(self.far, self.ledger))

    async def cleared(self, worker):
        """Wait until nothing is left on the machine."""
        async with asyncio.timeout(LIMIT):
            while self.far.leftovers():
                await worker._clean.drain()
                await asyncio.sleep(0.05)

    async def live_and_die(self, served, run, reaper):
        """Live until the run is over and cleared away, or until the reaper comes."""

        async def life():
            OURS.set(True)
            async with self.life() as worker:
                await served.life.updates(run)
                await self.cleared(worker)

        loop, ours, pool = asyncio.get_running_loop(), weakref.WeakSet(), ThreadPoolExecutor(8)

        def made(loop, coroutine, **options):
            task = asyncio.Task(coroutine, loop=loop, **options)
            if OURS.get():
                ours.add(task)
            return task

        loop.set_default_executor(pool)
        loop.set_task_factory(made)
        with reaper.watching():
            living, dying = asyncio.create_task(life()), asyncio.create_task(reaper.died.wait())
            ours.add(living)
            await asyncio.wait({living, dying}, return_when=asyncio.FIRST_COMPLETED, timeout=2 * LIMIT)
            dying.cancel()
            error = living.exception() if living.done() and not living.cancelled() else None
            containers = {each.life for _, unit in self.far.machine.units.values() for each in unit.values()}
            while tasks := {task for task in ours if not task.done()} - containers:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            loop.set_default_executor(ThreadPoolExecutor(8))
            await asyncio.to_thread(pool.shutdown)  # what its threads still do comes to the next point
        loop.set_task_factory(None)
        if not reaper.dead and error is not None:
            raise error

    async def outcome(self, point):
        """Return the reaper, what became of the run, and what is wrong."""
        reaper = crash.Reaper(point, WATCHED)
        async with self.server() as served:
            run = (await served.life.start(self.home)).id
            await self.live_and_die(served, run, reaper)
            if reaper.dead:
                async with self.life() as worker, asyncio.timeout(2 * LIMIT):
                    await served.life.updates(run)
                    await self.cleared(worker)
            facts = await crash.facts_of(served.life, run)
        return reaper, facts, [f"{name} was started {n} times" for name, n in Counter(self.ledger).items() if n > 1]


def chosen(points):
    if WANTED == "all":
        return points
    if "#" in WANTED:
        return WANTED.split(",")
    count = min(int(WANTED), len(points))
    first = random.Random(SEED).random() * len(points) / count
    return [points[int(first + number * len(points) / count)] for number in range(count)]


@pytest.fixture
def template(tmp_path):
    home = Home(tmp_path / "template")
    home.top.mkdir()
    home.write(STEPS)
    return home


async def test_killed_anywhere(template, tmp_path):
    undisturbed, facts, wrong = await Bench(template, tmp_path / "undisturbed").outcome("")
    assert (facts["run"], wrong) == ("failed", [])
    assert facts["served"].startswith("succeeded")
    failures, hit = {}, 0
    for number, point in enumerate(chosen(undisturbed.points)):
        try:
            reaper, found, wrong = await Bench(template, tmp_path / str(number)).outcome(point)
            wrong += [
                f"{key}: {found.get(key)}, not {value}" for key, value in facts.items() if found.get(key) != value
            ]
            hit += reaper.dead
        except Exception as error:  # noqa: BLE001 (whatever it is, the other points are still to be looked at)
            wrong = [f"{type(error).__name__}: {error}"]
        if wrong:
            failures[point] = wrong
    print(f"{len(undisturbed.points)} points, killed at {hit}")
    print(Counter(point.partition("#")[0] for point in undisturbed.points))
    assert not failures, "\n".join(f"{point}: {wrong}" for point, wrong in failures.items())
    assert hit >= 0.8 * len(chosen(undisturbed.points))
