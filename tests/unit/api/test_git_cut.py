"""Pushes that are cut off, by the network or by a kill of the server: the ref stays as it is, and the next try works."""

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from flowbuild.client.runner import Lease
from flowbuild.core.ids import RunId
from flowbuild.services.attempt_tokens import AttemptTokens
from flowbuild.testing.home import step
from flowbuild.testing.program import git
from flowbuild.workspace import git as own_git
from flowbuild.workspace.repo import RunRepository

REF = "refs/attempts/a/1/1"


@asynccontextmanager
async def cutting(site, after):
    """Give the address of a proxy that breaks a connection after so many bytes that came from the client."""
    host, port = site.url.removeprefix("http://").split(":")
    cut = asyncio.Event()

    async def pump(reader, writer, left):
        with suppress(ConnectionError):
            while data := await reader.read(1000):
                writer.write(data[:left])
                await writer.drain()
                left -= len(data)
                if left <= 0:
                    cut.set()
                    break
        for end in (writer, *ends[writer]):
            end.transport.abort()

    ends = {}

    async def connected(reader, writer):
        there, to = await asyncio.open_connection(host, int(port))
        ends[writer], ends[to] = [to], [writer]
        with suppress(ConnectionError):
            await asyncio.gather(pump(reader, to, after), pump(there, writer, 1 << 40))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", cut


@asynccontextmanager
async def pushing(home, open_site, tmp_path):
    """Give a site, a run whose step goes on, the repository of the run, and a clone with a result and its address."""
    home.write({"a": step(sleep=1e6)}, variables={"V": "1"})
    async with open_site() as site:
        run = (await site.life.start(home)).id
        await site.life.until(run, "a", "run")
        token = await asyncio.to_thread(AttemptTokens(site.life.local.database).make, Lease(run, "a", 1, 1))

        def prepare():
            with site.life.local.database.read() as tx:
                repository = RunRepository.open(Path(tx.runs.get(RunId(run)).repository))
            address = f"http://x:{token}@%s/git/runs/{run}.git"
            git(tmp_path, "clone", "--quiet", address % site.url.removeprefix("http://"), "clone")
            clone = tmp_path / "clone"
            (clone / "workspace/made").write_bytes(os.urandom(300_000))
            git(clone, "add", "--all")
            git(clone, "commit", "--quiet", "--message", "result")
            return repository, clone, address

        try:
            yield site, *await asyncio.to_thread(prepare)
        finally:
            await site.life.client.cancel(run, force=True)
            await site.life.finished(run)


async def push(clone, address, where):
    return await asyncio.to_thread(git, clone, "push", "--quiet", address % where, f"HEAD:{REF}")


@pytest.mark.parametrize("after", [100, 2_000, 150_000, 300_000])
async def test_a_push_that_is_cut_off(home, open_site, tmp_path, after):
    async with pushing(home, open_site, tmp_path) as (site, repository, clone, address):
        before = repository.refs.list("refs/")
        async with cutting(site, after) as (proxy, cut):
            with pytest.raises(AssertionError):
                await push(clone, address, proxy)
            assert cut.is_set()
        assert {name for name in repository.refs.list("refs/") if "incoming" not in name} == set(before)
        await push(clone, address, site.url.removeprefix("http://"))
        after_all = await asyncio.to_thread(repository.refs.list, "refs/")
        assert set(after_all) == {*before, REF}
        await asyncio.to_thread(own_git.fsck, repository.path)


async def test_a_server_that_was_killed_before_the_ref_was_written(home, open_site, tmp_path):
    async with pushing(home, open_site, tmp_path) as (site, repository, clone, address):
        place = f"refs/namespaces/incoming/{REF}"
        other = repository.refs.read("refs/heads/main")
        await asyncio.to_thread(own_git.run, repository.path, "update-ref", place, other)
        await push(clone, address, site.url.removeprefix("http://"))
        assert repository.refs.read(REF) == (await asyncio.to_thread(git, clone, "rev-parse", "HEAD")).strip()
        assert repository.refs.read(place) is None
