"""Large files on their way between a server and a runner: several at once, going on where they broke off, checked on the way."""

import asyncio
import errno
import json
import os
import re
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256
from types import SimpleNamespace

import pytest

from flowbuild.core.errors import InvalidRequest, ServerUnreachable, WorkspaceError
from flowbuild.runner import transfer
from flowbuild.runner.servers import Servers
from flowbuild.runner.transfer import AT_ONCE, Transfer
from flowbuild.testing.home import LIMIT
from flowbuild.testing.serving import serving
from flowbuild.workspace.lfs import LfsStore, Pointer

SIZE = 3 << 20
PIECE = 1 << 16


class Server:
    """The LFS side of a server. `cuts`: after how many bytes each answer breaks off; `ranges`: whether it goes on in the middle."""

    def __init__(self, contents, *, cuts=(), ranges=True, together=1):
        self.objects = {sha256(each).hexdigest(): each for each in contents}
        self.cuts, self.ranges = list(cuts), ranges
        self.gate = asyncio.Barrier(together)
        self.asked, self.given, self.sent, self.down = [], 0, {}, False

    @property
    def pointers(self):
        return [Pointer(oid, len(content)) for oid, content in self.objects.items()]

    async def __call__(self, scope, receive, send):
        headers = {name: value.decode() for name, value in scope["headers"]}
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message.get("more_body"):
                break
        oid = scope["path"].rpartition("/")[2]
        self.asked.append((scope["method"], headers.get(b"range", "")))
        if oid == "batch":
            status, answer = 200, self.batch(json.loads(body), headers[b"host"])
        elif scope["method"] == "PUT":
            await self.gate.wait()
            self.sent[oid] = body
            status, answer = 200, b""
        else:
            await self.gate.wait()
            start = int(re.sub("[^0-9]", "", headers.get(b"range", "0"))) if self.ranges else 0
            status, answer = 206 if start else 200, self.objects[oid][start:]
        await self.answer(send, status, answer, self.cuts.pop(0) if self.cuts and oid != "batch" else 1 << 40)

    async def answer(self, send, status, body, cut):
        length = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": length})
        for at in range(0, min(len(body), cut), PIECE):
            piece = body[at : min(at + PIECE, cut)]
            self.given += len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if len(body) <= cut:
            await send({"type": "http.response.body", "body": b""})

    def batch(self, asked, host):
        verb = asked["operation"]
        found = [
            {"oid": each["oid"], "size": each["size"], "actions": {verb: {"href": f"http://{host}/{each['oid']}"}}}
            for each in asked["objects"]
            if each["oid"] not in self.sent
        ]
        found += [{"oid": each["oid"], "size": each["size"]} for each in asked["objects"] if each["oid"] in self.sent]
        return json.dumps({"objects": found}).encode()


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(transfer, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(transfer, "RETRY_MOST", 0.01)


@pytest.fixture
def store(tmp_path):
    return LfsStore(tmp_path / "lfs")


@asynccontextmanager
async def moving(server, patience=1.0):
    async with serving(server) as url, asyncio.timeout(LIMIT):
        made = Transfer(Servers([url]), patience, asyncio.sleep)
        try:
            yield made
        finally:
            await made.close()


WORK = SimpleNamespace(repository="/git/runs/1.git", token="any")


def contents(count):
    return [os.urandom(SIZE) for _ in range(count)]


async def test_several_move_at_once(store):
    """The server answers only when as many have come: one after the other, this would not end."""
    server = Server(contents(2 * AT_ONCE), together=AT_ONCE)
    async with moving(server) as moved:
        await moved.download(WORK, server.pointers, store)
        assert all(store.verify(each) for each in server.pointers)
        await moved.upload(WORK, server.pointers, store)
    assert server.sent == server.objects
    assert server.given < SIZE * 2 * AT_ONCE + 10_000


async def test_what_the_server_has_is_not_sent(store):
    server = Server(contents(3))
    for each in server.objects.values():
        store.put_bytes(each)
    has, *others = server.pointers
    server.sent[has.oid] = b"as it was"
    async with moving(server) as moved:
        await moved.upload(WORK, server.pointers, store)
    assert server.sent.pop(has.oid) == b"as it was"
    assert server.sent == {each.oid: server.objects[each.oid] for each in others}


async def test_a_download_goes_on_where_it_broke_off(store):
    server = Server(contents(1), cuts=(SIZE // 2, 0, SIZE // 4))
    async with moving(server) as moved:
        await moved.download(WORK, server.pointers, store)
    assert all(store.verify(each) for each in server.pointers)
    ranges = [asked for verb, asked in server.asked if verb == "GET"]
    assert ranges[0] == ""
    assert all(re.fullmatch("bytes=[1-9][0-9]*-", each) for each in ranges[1:])
    assert server.given < SIZE + 3 * (transfer.PIECE + PIECE)  # what was on its way when it broke off comes again


async def test_a_download_goes_on_at_another_server(store):
    """Which knows nothing of what the first one said."""
    first = Server(contents(1), cuts=[SIZE // 2, *[0] * 1000])
    second = Server(first.objects.values())
    async with serving(first) as one, serving(second) as other, asyncio.timeout(LIMIT):
        moved = Transfer(Servers([one, other]), 10.0, asyncio.sleep)
        await moved.download(WORK, first.pointers, store)
        first.sent, second.sent, first.cuts = {}, {}, [0] * 1000
        await moved.upload(WORK, first.pointers, store)
        await moved.close()
    assert all(store.verify(each) for each in first.pointers)
    assert [verb for verb, _ in second.asked] == ["POST", "GET", "POST", "PUT"]
    assert second.asked[1][1].startswith("bytes=")
    assert second.given < SIZE


async def test_servers_that_begin_again(store):
    """The control: without ranges all of it comes again, and is none the worse."""
    server = Server(contents(1), cuts=(SIZE // 2, SIZE * 3 // 4), ranges=False)
    async with moving(server) as moved:
        await moved.download(WORK, server.pointers, store)
    assert all(store.verify(each) for each in server.pointers)
    assert server.given > 2 * SIZE


async def test_something_else_is_not_taken(store):
    server = Server(contents(5))
    wrong = server.pointers[2].oid
    server.objects[wrong] = server.objects[wrong][:-1] + b"?"
    async with moving(server) as moved:
        with pytest.raises(InvalidRequest, match=f"not the large file {wrong}"):
            await moved.download(WORK, server.pointers, store)
    assert not store.path(wrong).exists()
    assert list((store.root / "tmp").iterdir()) == []


async def test_a_server_that_stays_away(store):
    server = Server(contents(1), cuts=[0] * 1000)
    async with moving(server, patience=0.05) as moved:
        with pytest.raises(ServerUnreachable):
            await moved.download(WORK, server.pointers, store)
    assert len(server.asked) < 30
    assert list((store.root / "tmp").iterdir()) == []


async def test_a_refusal(store):
    server = Server(contents(1))
    pointers = server.pointers
    server.batch = lambda *_: json.dumps({"objects": []}).encode()
    async with moving(server) as moved:
        with pytest.raises(WorkspaceError, match="does not download"):
            await moved.download(WORK, pointers, store)


async def test_a_full_disk_is_waited_for(store, monkeypatch):
    """And what was written to it does not count."""
    server, receive, full = Server(contents(1)), store.receive, [True, True]

    @contextmanager
    def cramped(pointer):
        with receive(pointer) as take:

            def took(piece):
                take(piece)
                if full:
                    full.pop()
                    raise OSError(errno.ENOSPC, "No space left on device")

            yield took

    monkeypatch.setattr(store, "receive", cramped)
    async with moving(server) as moved:
        await moved.download(WORK, server.pointers, store)
    assert all(store.verify(each) for each in server.pointers)
    assert [asked for verb, asked in server.asked if verb == "GET"] == ["", "", ""]
