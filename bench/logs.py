"""(i) A large log through one step while many read it live, some of them slow: is it all there, how fast, what memory it takes.

The engine that stands in for Docker's says as much as is taken from it. Each reader gets all messages; that they are the
same for all is compared by their digests, that they are what was said by one reader that reads them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.figures import Figures
from bench.runs import add_project, near_server
from bench.serving import Server, admin, request

from flowbuild.client.http import HttpClient
from flowbuild.engine.base import LogRecord, Unit
from flowbuild.testing.engine import HeldEngine, Machine
from flowbuild.testing.home import Home, step

SLOW = 5  # readers that read next to nothing until the end of the step
PAUSE = 0.5  # seconds between two of their parts
SHAPES = {
    "records of 8 KiB": (8192, 1),
    "lines of 100 bytes": (100, 16),
}  # bytes, and the part of the size that is enough
PROJECT = "loud"
PING = b": ping\n\n"


class LoudEngine(HeldEngine):
    """An engine whose only service writes `size` bytes in records of `length`."""

    def __init__(self, machine: Machine, size: int, length: int) -> None:
        super().__init__(machine)
        self.size, self.count = 0, size // length
        self._length = length
        self.said = hashlib.sha256()

    async def logs(self, unit: Unit, since_ns: Mapping[str, int]) -> AsyncIterator[LogRecord]:
        for number in range(since_ns.get("main", 0), self.count):
            data = f"{number:012} ".encode().ljust(self._length - 1, b"x") + b"\n"
            self.said.update(data)
            self.size += len(data)
            yield LogRecord("main", "stdout", number + 1, data)
        self.release.set()
        async for record in super().logs(unit, {"main": self.count + 1}):
            yield record


@dataclass(slots=True)
class Reader:
    """Reads the messages of a log. `text`: also what they say, which costs more."""

    slow_until: asyncio.Event | None = None
    text: bool = False
    messages: hashlib._Hash = field(default_factory=hashlib.sha256)
    said: hashlib._Hash = field(default_factory=hashlib.sha256)
    size: int = 0

    async def read(self, port: int, whole: bytes, begun: asyncio.Semaphore) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        writer.write(whole)
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise RuntimeError(head.decode())
        begun.release()
        while size := int(await reader.readline(), 16):
            part = (await reader.readexactly(size + 2))[:-2]
            if part != PING:
                self._take(part)
            if self.slow_until is not None:
                with suppress(TimeoutError):  # who takes nothing at all is given up
                    await asyncio.wait_for(self.slow_until.wait(), PAUSE)
        writer.close()

    def _take(self, part: bytes) -> None:
        self.messages.update(part)
        self.size += len(part)
        if self.text:
            for line in part.split(b"\n"):
                if line.startswith(b'data: {"'):
                    message = json.loads(line[6:])
                    if message["service"] == "main":
                        self.said.update(message["text"].encode())


def logs(top: Path, *, size: int = 1 << 30, readers: int = 100) -> list[Figures]:
    """Measure with `readers` readers and a log of `size` bytes."""
    results = []
    for name, (length, share) in SHAPES.items():
        title = f"(i) a log of {size // share / 1e6:.0f} MB in {name}, {readers} live readers, {SLOW} of them slow"
        figures, place = Figures(f"logs, {name}", title), top / f"l{length}"
        place.mkdir()
        asyncio.run(_measure(figures, place, size // share, length, readers))
        shutil.rmtree(place, ignore_errors=True)
        results.append(figures)
    return results


async def _measure(figures: Figures, top: Path, size: int, length: int, number: int) -> None:
    home = Home(top)
    home.write({"a": step()})
    token = await asyncio.to_thread(admin, home.data)
    engine = LoudEngine(home.machine, size, length)
    ended = asyncio.Event()
    async with near_server(home, "", engine) as server, AsyncExitStack() as stack:
        await add_project(server, token, PROJECT, home.project)
        client = HttpClient(f"http://127.0.0.1:{server.port}", token, project=PROJECT)
        stack.push_async_callback(client.close)
        memory = [server.memory()]
        looking = asyncio.create_task(_look(server, memory))
        cpu, began = server.cpu(), time.perf_counter()
        run = (await client.ask("POST", f"projects/{PROJECT}/pipelines/test/runs", {}))["id"]
        path = f"/api/v1/runs/{run}/steps/a/logs/stream"
        whole = request(server.port, "GET", path, {"authorization": f"Bearer {token}"})
        readers = [Reader(ended if index < SLOW else None, index == SLOW) for index in range(number)]
        begun = asyncio.Semaphore(0)
        reading = [asyncio.create_task(reader.read(server.port, whole, begun)) for reader in readers]
        async for _update in client.watch(run):
            pass
        written = time.perf_counter() - began
        ended.set()
        await asyncio.gather(*reading)
        seconds = time.perf_counter() - began
        looking.cancel()
        _note(figures, engine, readers, written, seconds)
        figures.note("resident memory before, MB", memory[0])
        figures.note("its growth at most, MB", max(memory) - memory[0])
        figures.note("processor of the server per MB of the log, ms", (server.cpu() - cpu) / engine.size * 1e9)


async def _look(server: Server, memory: list[float]) -> None:
    """Look at the memory of a server again and again."""
    while True:
        memory.append(server.memory())
        await asyncio.sleep(0.2)


def _note(figures: Figures, engine: LoudEngine, readers: list[Reader], written: float, seconds: float) -> None:
    digests = {reader.messages.digest() for reader in readers}
    (text,) = (reader for reader in readers if reader.text)
    figures.aim("readers with other messages than the first", len(digests) - 1, aim=0)
    figures.aim("what one read is not what was said", float(text.said.digest() != engine.said.digest()), aim=0)
    figures.note("until the step had ended, s", written)
    figures.note("MB of the log per second until then", engine.size / written / 1e6)
    figures.note("until all had read all, s", seconds)
    figures.note("MB of messages per second, all readers", sum(reader.size for reader in readers) / seconds / 1e6)
