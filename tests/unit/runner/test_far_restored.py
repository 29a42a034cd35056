"""A server that comes back from a backup, to a machine that did and said more than the backup knows."""

import asyncio
import shutil
from contextlib import AsyncExitStack
from time import time

import pytest

from flowbuild.runner.remote import RemoteClient
from flowbuild.services.backup import back_up
from flowbuild.services.restoring import restore
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


@pytest.mark.parametrize("told", ["launched", "healthy"])
async def test_what_was_told_after_the_backup_is_told_again(home, far, tmp_path, monkeypatch, told):
    """Its successor ran already when the server was lost: that is ended, and done again under another epoch."""
    home.top.mkdir()
    home.write(
        {
            "a": step(write="a=1", sleep=1_000_000, health=True, then="b", more={"background": True}),
            "b": step(write="b=1", sleep=500),
        }
    )
    gate, url = Gate(monkeypatch, told), f"sqlite:///{home.data / 'flow.db'}"
    async with AsyncExitStack() as stack, asyncio.timeout(LIMIT):
        async with open_site(home, embedded=False) as served:
            await far.register(served)
            port = int(served.url.rpartition(":")[2])
            await stack.enter_async_context(far.life())
            run = (await served.life.start(home)).id
            await gate.reached.wait()
            await asyncio.to_thread(back_up, home.data, url, tmp_path / "backup", keys=None, version="1", clock=time)
            gate.opened.set()
            await served.life.until(run, "b", "run")
        await asyncio.to_thread(shutil.rmtree, home.data)
        await asyncio.to_thread(restore, tmp_path / "backup", home.data, url, time)
        async with open_site(home, embedded=False, port=port) as served:
            view = (await served.life.updates(run))[-1].run
    assert str(view.state) == "succeeded"
    (a,), (b,) = (each.attempts for each in view.steps)
    assert (a.epoch, b.epoch > 3) == (1, True)
