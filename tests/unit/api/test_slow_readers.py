"""Readers that take nothing: they hold up nobody, and one person has only so many of them."""

import asyncio
import os
import socket
import threading
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from flowbuild.api.app import create_app, guarded
from flowbuild.api.places import Downloads, Places, clones, place_of
from flowbuild.core.access import Principal
from flowbuild.testing.home import step
from flowbuild.testing.serving import serving

LARGE = os.urandom(24 << 20)  # more than what lies between a reader and the server
CROWD = 50  # more than the threads in which a web framework does what blocks
KINDS = {
    "zip": "/api/v1/runs/{run}/workspace/zip",
    "file": "/api/v1/runs/{run}/workspace/file?path=large",
    "lfs": "/git/runs/{run}.git/info/lfs/objects/{oid}",
}


@asynccontextmanager
async def stalled(site, path, who):
    """Give the status of an answer of which nothing but the first line is read."""
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.setblocking(False)
        host, port = site.url.removeprefix("http://").split(":")
        await asyncio.get_running_loop().sock_connect(plain, (host, int(port)))
        reader, writer = await asyncio.open_connection(sock=plain, limit=64)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: flow\r\nAuthorization: Bearer {who}\r\n\r\n".encode())
        try:
            line = await asyncio.wait_for(reader.readline(), 60)
            yield int(line.split()[1])
        finally:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def crowd(stack, site, path, who, count=CROWD):
    """Let many read slowly; return how many of them got which status."""
    coming = [stack.enter_async_context(stalled(site, path, who)) for _ in range(count)]
    return Counter(await asyncio.gather(*coming))


@asynccontextmanager
async def filled(home, open_site):
    """Give a site with a run that has a large file, and the paths by which that can be had."""
    home.write({"a": step()})
    (home.project / "large").write_bytes(LARGE)
    async with open_site() as site:
        run = (await site.life.finished((await site.life.start(home)).id)).id
        (oid,) = [path.name for path in (home.data / "lfs").rglob("*") if path.is_file() and len(path.name) == 64]
        yield site, {kind: path.format(run=run, oid=oid) for kind, path in KINDS.items()}


def narrow(site, **places):
    """Let the server have fewer places, and nobody wait for one."""
    site.backend.downloads = Downloads(**{name: Places(*sizes, wait=0) for name, sizes in places.items()})


@pytest.mark.parametrize("kind", KINDS)
async def test_a_crowd_of_one_person_gets_its_places_and_holds_up_nobody(home, open_site, kind):
    async with filled(home, open_site) as (site, paths), AsyncExitStack() as stack:
        narrow(site, archives=(4, 3), files=(4, 3))
        mine = await crowd(stack, site, paths[kind], "viewer")
        theirs = await crowd(stack, site, paths[kind], "developer")
        threads = sum(thread.name == "zip" for thread in threading.enumerate())
        plain = await site.get("/api/v1/runs")
        told = await site.get(paths[kind])
        await stack.aclose()
        again = await whole(site, paths[kind])
    assert mine == {200: 3, 429: CROWD - 3}
    assert theirs == {200: 1, 429: CROWD - 1}  # of the others there is one place left
    assert threads == (4 if kind == "zip" else 0)
    assert (plain.status_code, told.status_code, told.headers["retry-after"]) == (200, 429, "30")
    assert told.json()["detail"] == "too many downloads at once"
    assert again


async def whole(site, path):
    """Return whether somebody gets all of it, who waits until there is a place."""
    downloads = site.backend.downloads
    downloads.archives.wait = downloads.files.wait = 60
    return len((await site.get(path)).content) >= len(LARGE)


async def test_clones_of_people_leave_room_for_attempts_and_each_other(home, open_site):
    async with filled(home, open_site) as (site, paths), AsyncExitStack() as stack:
        places = clones(8)  # six for people, two for each
        site.backend.downloads = Downloads(clones=places)
        refs = paths["lfs"].partition("/info")[0] + "/info/refs?service=git-upload-pack"
        for who in ("a", "b"):
            for _ in range(2):
                await stack.enter_async_context(places.hold(f"user {who}"))
        greedy = asyncio.create_task(stack.enter_async_context(places.hold("user a")))
        other = await site.get(refs, "maintainer")
        assert (other.status_code, greedy.done()) == (200, False)
        for _ in range(2):
            await stack.enter_async_context(places.hold("user c"))
        waiting = asyncio.create_task(site.get(refs, "maintainer"))
        async with place_of(places, Principal("attempt", "1"), ""):
            assert not waiting.done()
        greedy.cancel()
        await stack.aclose()
        assert (await waiting).status_code == 200


async def test_who_waits_gets_the_place_of_who_goes():
    places = Places(1, 1)
    first = places.hold("a")
    await first.__aenter__()
    second = asyncio.create_task(places.hold("b").__aenter__())
    third = asyncio.create_task(places.hold("a").__aenter__())
    await asyncio.sleep(0)
    third.cancel()  # who gives up while waiting takes nothing along
    await asyncio.wait({third})
    assert not second.done()
    await first.__aexit__(None, None, None)
    await second


async def test_readers_that_take_nothing_are_given_up(home, open_site):
    async with filled(home, open_site) as (site, paths), AsyncExitStack() as stack:
        narrow(site, archives=(1, 1), files=(2, 2))
        impatient = guarded(create_app(site.backend), slow=0.2)
        async with serving(impatient) as url:
            patient, site.url = site.url, url
            for path in paths.values():
                assert await crowd(stack, site, path, "viewer", 1) == {200: 1}
            site.url = patient
            for path in paths.values():
                assert await whole(site, path)  # though nobody went
            await stack.aclose()
