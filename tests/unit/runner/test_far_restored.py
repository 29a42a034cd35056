"""A server that comes back from a backup, to a machine that did and said more than the backup knows."""

import asyncio
import shutil
from contextlib import AsyncExitStack, asynccontextmanager
from time import time

import pytest

from flowbuild.runner.remote import RemoteClient
from flowbuild.services.backup import back_up
from flowbuild.services.restoring import restore
from flowbuild.testing.engine import DummyEngine
from flowbuild.testing.home import LIMIT, step
from flowbuild.testing.site import open_site


class Gate:
    """Lets calls of one method of RemoteClient wait until it is opened."""

    def __init__(self, monkeypatch, name):
        self.reached, self.opened = asyncio.Event(), asyncio.Event()
        real = getattr(RemoteClient, name)

        async def waiting(*arguments):
            self.reached.set()
            await self.opened.wait()
            await real(*arguments)

        monkeypatch.setattr(RemoteClient, name, waiting)


class Handed:
    """Lets the test wait until a step is handed to the runner once more."""

    def __init__(self, monkeypatch):
        self._steps: dict[str, asyncio.Event] = {}
        real = RemoteClient.claim

        async def claim(*arguments, **options):
            assignment = await real(*arguments, **options)
            if assignment is not None:
                self._event(assignment.lease.step).set()
            return assignment

        monkeypatch.setattr(RemoteClient, "claim", claim)

    def _event(self, step):
        return self._steps.setdefault(step, asyncio.Event())

    async def again(self, *steps):
        self._steps.clear()
        await asyncio.gather(*(self._event(step).wait() for step in steps))


@pytest.fixture
def started(monkeypatch):
    """What containers were started, by the names of their projects."""
    names, real = [], DummyEngine.start

    async def start(engine, unit):
        names.append(unit.spec.project)
        return await real(engine, unit)

    monkeypatch.setattr(DummyEngine, "start", start)
    return names


class Server:
    """The server of a home, which is lost and comes back from a backup at the same address."""

    def __init__(self, home):
        self.home, self._backup = home, home.top / "backup"
        self._url, self._port = f"sqlite:///{home.data / 'flow.db'}", 0

    @asynccontextmanager
    async def life(self):
        async with open_site(self.home, embedded=False, port=self._port) as served:
            self._port = int(served.url.rpartition(":")[2])
            yield served

    async def start(self, served):
        return (await served.life.start(self.home)).id

    async def back_up(self):
        await asyncio.to_thread(back_up, self.home.data, self._url, self._backup, keys=None, version="1", clock=time)

    async def restore(self):
        await asyncio.to_thread(shutil.rmtree, self.home.data)
        await asyncio.to_thread(restore, self._backup, self.home.data, self._url, time)


@pytest.fixture
def server(home):
    home.top.mkdir()
    return Server(home)


def said(view):
    return [(each.reason, each.message) for step in view.steps for each in step.attempts]


CASES = [(told, *runner) for told in ("launched", "healthy") for runner in ((1, 2), (2, 2), (2, 1))]


@pytest.mark.parametrize("case", CASES, ids="{0[0]}, lives {0[1]}, capacity {0[2]}".format)
async def test_what_was_told_after_the_backup_is_told_again(server, far, monkeypatch, started, case):
    """Its successor ran already when the server was lost: that is ended, and done again under another epoch.

    The runner may have begun anew since the backup, and have adopted what it had: of that life the backup knows nothing.
    When it has no room for more, its heartbeats are the first that the server hears of it, else it is offered what it has.
    """
    told, lives, far.capacity = case
    server.home.write(
        {
            "a": step(write="a=1", sleep=1_000_000, health=True, then="b", more={"background": True}),
            "b": step(write="b=1", sleep=200),
        }
    )
    gate, handed = Gate(monkeypatch, told), Handed(monkeypatch)
    async with AsyncExitStack() as stack, asyncio.timeout(LIMIT):
        async with server.life() as served:
            await far.register(served)
            first = await stack.enter_async_context(AsyncExitStack())
            await first.enter_async_context(far.life())
            run = await server.start(served)
            await gate.reached.wait()
            await server.back_up()
            gate.opened.set()
            await served.life.until(run, "b", "run")
            if lives == 2:
                await first.aclose()
                await stack.enter_async_context(far.life())
                await handed.again("a", "b")
        await server.restore()
        async with server.life() as served:
            view = (await served.life.updates(run))[-1].run
    assert str(view.state) == "succeeded", said(view)
    (a,), (b,) = (each.attempts for each in view.steps)
    assert (a.epoch, a.started_at is not None, b.epoch > 3) == (1, True, True)
    assert sum("-a-" in name for name in started) == 1, started


@pytest.mark.parametrize("told", ["healthy", "finish"])
async def test_what_was_pushed_after_the_backup_is_pushed_again(server, far, monkeypatch, started, told):
    """The server is lost after the result was pushed and before it is told of it."""
    background = {"sleep": 1_000_000, "health": True, "more": {"background": True}} if told == "healthy" else {}
    server.home.write({"a": step(write="a=1", then="b", **background), "b": step(write="b=1")})
    running, pushed = Gate(monkeypatch, "launched"), Gate(monkeypatch, told)
    async with AsyncExitStack() as stack, asyncio.timeout(LIMIT):
        async with server.life() as served:
            await far.register(served)
            await stack.enter_async_context(far.life())
            run = await server.start(served)
            await running.reached.wait()
            await server.back_up()
            running.opened.set()
            await pushed.reached.wait()
        await server.restore()
        async with server.life() as served:
            pushed.opened.set()
            view = (await served.life.updates(run))[-1].run
    assert str(view.state) == "succeeded", said(view)
    assert [len(each.attempts) for each in view.steps] == [1, 1]
    assert sum("-a-" in name for name in started) == 1, started
