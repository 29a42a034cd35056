"""A server as a process of its own, and clients that cost little: they share the processors with it."""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Figures

from flowbuild.auth.passwords import Passwords
from flowbuild.core.access import Principal, Scope
from flowbuild.services.audit import Actor
from flowbuild.services.tokens import TokenService
from flowbuild.services.users import UserChange, UserService
from flowbuild.settings import Settings
from flowbuild.testing.engine_socket import program_with
from flowbuild.testing.postgres import running
from flowbuild.wiring.local import Local

FLOW = str(Path(sys.executable).with_name("flow"))
TICKS = os.sysconf("SC_CLK_TCK")
LIMIT = 600  # seconds for an answer


@contextmanager
def databases() -> Iterator[Mapping[str, Callable[[], str]]]:
    """Yield what makes a database, as `FLOW_DATABASE` names it: of SQLite, and of a PostgreSQL that is safe against a power cut."""
    with running(durable=True) as postgres:
        yield {"SQLite": str, "PostgreSQL": postgres.database}


def admin(home: Path, database: str = "") -> str:
    """Make the home of a server with an admin; return a token of that."""
    local = Local(Settings(home=home, database=database), None)
    local.open(drive=False)
    try:
        users = UserService(local.database, Passwords(), local.signals, time.time)
        row = users.add(Actor("bench"), "bench", None, role="admin", change=UserChange())
        owner = Principal("user", row.id, row.name, admin=True)
        return TokenService(local.database, local.signals, time.time).create(
            Actor("bench"), owner, "bench", scopes=set(Scope)
        )[0]
    finally:
        local.close()


@dataclass(slots=True)
class Server:
    """A running server; `seconds` it took to listen."""

    process: subprocess.Popen[bytes]
    port: int
    seconds: float

    def cpu(self) -> float:
        """Return the seconds of a processor that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self) -> float:
        """Return its resident memory in MB."""
        lines = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Rss:")) / 1000


@contextmanager
def serving(home: Path, database: str = "", *, engine: Path | None = None, **options: str) -> Iterator[Server]:
    """Run a server; `engine`: the socket of one that stands in for Docker, without it there is no runner."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    command = [FLOW, "server"] if engine is None else [*program_with(engine), "server"]
    runner = "false" if engine is None else "true"
    # An installed package has its byte code; a checkout run with PYTHONDONTWRITEBYTECODE may not.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"FLOW_HOME": str(home), "FLOW_PORT": str(port), "FLOW_RUNNER": runner, "FLOW_DATABASE": database}
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment | options, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        if not process.stdout.readline():  # it says where it is as soon as it listens
            raise RuntimeError(f"the server ended with {process.wait()}")
        yield Server(process, port, time.perf_counter() - began)
    finally:
        process.terminate()
        process.wait(60)


def request(port: int, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """Return a whole request."""
    lines = [f"{method} {path} HTTP/1.1", f"host: 127.0.0.1:{port}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Connection:
    """A connection that is kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))

    async def ask(self, whole: bytes) -> tuple[int, bytes]:
        """Send a request; return status and body, which must come with its length."""
        async with asyncio.timeout(LIMIT):
            self._writer.write(whole)
            head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
            length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
            return int(head[9:12]), await self._reader.readexactly(int(length.partition(b":")[2]))

    def close(self) -> None:
        self._writer.close()


async def send_all(port: int, connections: int, requests: Iterable[bytes]) -> tuple[list[float], Counter[int]]:
    """Send requests over so many connections at once; return how long each took, and how often each status came."""
    waiting, times, codes = iter(requests), list[float](), Counter[int]()

    async def sender() -> None:
        connection = await Connection.open(port)
        for whole in waiting:
            began = time.perf_counter()
            status, _ = await connection.ask(whole)
            times.append(time.perf_counter() - began)
            codes[status] += 1
        connection.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(sender())
    return times, codes


def measured(
    figures: Figures, name: str, server: Server, send: Callable[[], tuple[list[float], Counter[int]]]
) -> Counter[int]:
    """Let requests be sent; add their times, and what they cost the server. Returns the statuses."""
    cpu, began = server.cpu(), time.perf_counter()
    times, codes = send()
    seconds, cpu = time.perf_counter() - began, server.cpu() - cpu
    for each in times:
        figures.add(name, each)
    figures.note(f"{name}: p99 in ms", statistics.quantiles(times, n=100)[-1] * 1e3)
    figures.note(f"{name}: per second", len(times) / seconds)
    figures.note(f"{name}: processor of the server per request, ms", cpu / len(times) * 1e3)
    return codes
