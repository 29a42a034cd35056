"""A runner that falls silent is told of, when it does and once; nobody looks in between."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from flowbuild.client.runner import LEASE_SECONDS, Facts
from flowbuild.orchestrator import roll_call
from flowbuild.orchestrator.roll_call import RollCall
from flowbuild.services.audit import Actor
from flowbuild.services.news import FOLLOWED
from flowbuild.services.registration import ROLL, Registration
from flowbuild.services.signals import Signals
from flowbuild.testing.databases import new_sqlite
from flowbuild.testing.triggers import Clock

ADA = Actor("ada")


class Server:
    """A server with the runners `one` and `two`, which are the test; `looks` gets what each look has found."""

    def __init__(self, path):
        self.clock, self.signals, self.looks = Clock(1000.0), Signals(), asyncio.Queue()
        self.database = new_sqlite(path / "flow.db")
        self.registration = Registration(self.database, self.signals, self.clock)
        for name in ("one", "two"):
            code = self.registration.invite(ADA).code
            self.registration.register(code, name, capacity=1, labels={}, facts=Facts("1", "x"), address="")

    @asynccontextmanager
    async def calling(self):
        """Call the roll; yields who follows what is told from the first look on."""
        registration, loop = Registration(self.database, self.signals, self.clock), asyncio.get_running_loop()
        find = registration.heard_until

        def found():
            until = find()
            loop.call_soon_threadsafe(self.looks.put_nowait, until)
            return until

        registration.heard_until = found
        with self.signals.follow(*FOLLOWED) as following:
            task = asyncio.create_task(
                RollCall(registration=registration, signals=self.signals, clock=self.clock).run()
            )
            yield following
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def heard(self, name):
        await asyncio.to_thread(self.registration.heard, name)

    async def look(self):
        """Wake the loop; return what it found."""
        self.signals.notify(ROLL)
        return await self.looks.get()


@pytest.fixture
async def server(tmp_path):
    made = await asyncio.to_thread(Server, tmp_path)
    yield made
    made.database.close()


async def test_a_runner_that_falls_silent_is_told_of(server):
    async with server.calling() as following:
        assert await server.looks.get() == {}, "nobody was heard of yet"
        await server.heard("one")
        assert await following.changed() == {"runner:one"}
        assert await server.looks.get() == {"one": 1000.0 + LEASE_SECONDS}
        server.clock.now += LEASE_SECONDS / 2
        await server.heard("two")
        assert await following.changed() == {"runner:two"}
        assert (await server.looks.get()).keys() == {"one", "two"}
        server.clock.now += LEASE_SECONDS / 2
        assert (await server.look()).keys() == {"two"}
        assert await following.changed() == {"runner:one"}
        await server.heard("one")
        assert await following.changed() == {"runner:one"}, "it is back"


async def test_heartbeats_of_a_runner_that_is_heard_wake_nobody(server):
    """The control: the test above would see one that is told of without need."""
    async with server.calling() as following:
        await server.looks.get()
        await server.heard("one")
        await following.changed()
        await server.looks.get()
        for _ in range(3):
            server.clock.now += LEASE_SECONDS / 2
            await server.heard("one")
        assert (await server.look()) == {"one": server.clock.now + LEASE_SECONDS}
        assert server.looks.empty()
        await server.heard("two")
        assert await following.changed() == {"runner:two"}, "and nothing of the other one"


async def test_a_database_that_is_away_ends_nothing(server, monkeypatch):
    monkeypatch.setattr(roll_call, "RETRY_SECONDS", 0.0)
    find, failures = Registration.heard_until, [OSError("away")] * 2

    def failing(self):
        if failures:
            raise failures.pop()
        return find(self)

    monkeypatch.setattr(Registration, "heard_until", failing)
    async with server.calling():
        assert await server.looks.get() == {}
    assert not failures
