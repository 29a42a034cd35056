"""A runner whose connections to the repositories of the server break off at any byte: it asks again, and the step is none the worse."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from flowbuild.runner import transfer
from flowbuild.testing import site
from flowbuild.testing.far import FarMachine
from flowbuild.testing.home import LIMIT, Home, step
from flowbuild.workspace import git

CUTS = (0, 1, 40, 150, 300, 450, 600, 700, 800, 900, 1000, 1100, 1300, 1500, 2000, 3000, 6000, 20_000)


class Cutting:
    """A proxy that cuts one connection to `/git/` after the other: each after so many bytes of answers, or of requests."""

    def __init__(self, url, *, requests):
        self.host, self.port = url.removeprefix("http://").split(":")
        self.requests = requests
        self.left = list(CUTS)

    @asynccontextmanager
    async def serving(self):
        async with await asyncio.start_server(self.connected, "127.0.0.1", 0) as server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def connected(self, reader, writer):
        there, to = await asyncio.open_connection(self.host, int(self.port))
        first = await reader.read(1 << 16)
        cut = self.left.pop(0) if b" /git/" in first.partition(b"\r\n")[0] and self.left else 1 << 40
        up, down = (cut, 1 << 40) if self.requests else (1 << 40, cut)
        with suppress(ConnectionError):
            to.write(first[:up])
            pumps = [
                asyncio.create_task(self.pump(reader, to, up - len(first))),
                asyncio.create_task(self.pump(there, writer, down)),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
        for end in (writer, to):
            end.close()

    async def pump(self, reader, writer, left):
        while left > 0 and (data := await reader.read(1 << 16)):
            writer.write(data[:left])
            await writer.drain()
            left -= len(data)


@pytest.mark.parametrize("requests", [False, True])
async def test_connections_that_break_off(tmp_path, monkeypatch, requests):
    monkeypatch.setattr(transfer, "RETRY_MOST", 0.01)
    monkeypatch.setattr(transfer, "RETRY_SECONDS", 0.01)
    home, far = Home(tmp_path / "server"), FarMachine(tmp_path / "far")
    home.top.mkdir()
    home.write({"a": step(write="a=x*200000", log="from a\n", then="b"), "b": step(write="b=1")})
    async with site.open_site(home, embedded=False) as served:
        await far.register(served)
        proxy = Cutting(served.url, requests=requests)
        async with proxy.serving() as url, far.life(urls=(url,)):
            run = (await served.life.start(home)).id
            async with asyncio.timeout(LIMIT):
                view = (await served.life.updates(run))[-1].run
    assert [(each.outcome, each.message, len(each.attempts)) for each in view.steps] == [("succeeded", "", 1)] * 2
    assert proxy.left == []


async def test_what_is_refused_is_not_asked_for_again(tmp_path):
    """The negative control: patience is for servers that are away."""
    assert git.failed(("push",), 1, b"! [remote rejected] x (hook declined)").failure is git.GitFailure.OTHER
