"""(f) Webhooks: how many signed deliveries of 8 KB a server takes per second, each on the disk before it is acknowledged.

The server is a process of its own; the deliveries are signed before it starts, a tenth of them twice. What the generator
itself costs is told, too: it shares the processors.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from bench.figures import Figures

from flowbuild.services.audit import Actor
from flowbuild.services.hooks import HookChange, HookService
from flowbuild.services.ids import new_id
from flowbuild.settings import Settings
from flowbuild.store.projects import ProjectRow
from flowbuild.testing.payloads import FORGES, Push
from flowbuild.wiring.local import Local
from flowbuild.wiring.projects import open_vault

FLOW = Path(sys.executable).with_name("flow")
BODY = 8000  # bytes of the message, which make a body of a little more
CONNECTIONS = (1, 8, 32)


def webhooks(top: Path, *, count: int = 2000) -> Figures:
    """Measure with few and with many senders at once; `count` deliveries each."""
    figures = Figures("webhooks", f"(f) webhooks, {count} deliveries of {BODY // 1000} KB, a tenth of them twice")
    home, port = top / "webhooks", _free_port()
    secret = _prepare(home)
    server = _start(home, port)
    try:
        for connections in CONNECTIONS:
            requests = [_request(port, secret, f"{connections}/{number}") for number in range(count)]
            requests += random.Random(1).sample(requests, count // 10)
            _measure(figures, port, connections, requests)
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(home, ignore_errors=True)
    return figures


def _prepare(home: Path) -> str:
    """Make a server's home with a project and a webhook; return the secret of that."""
    local = Local(Settings(home=home), None)
    local.open(drive=False)
    with local.database.write() as tx:
        tx.projects.add(ProjectRow(new_id(time.time()), "app", "https://forge.invalid/team/app.git", time.time()))
    hooks = HookService(local.database, open_vault(local), time.time)
    _row, secret = hooks.add(Actor("bench"), "app", "github", "forge", HookChange())
    local.close()
    return secret


def _start(home: Path, port: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "FLOW_HOME": str(home), "FLOW_PORT": str(port), "FLOW_RUNNER": "false"}
    server = subprocess.Popen([str(FLOW), "server"], env=environment, stdout=subprocess.PIPE)
    assert server.stdout is not None
    server.stdout.readline()  # it says where it is as soon as it listens
    return server


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _request(port: int, secret: str, name: str) -> bytes:
    """Return a whole request. Its push asks for no runs: what is measured is the way to the disk."""
    push = Push(before=f"{random.getrandbits(160):040x}", message=f"[skip ci] {name} ".ljust(BODY, "x"))
    sent = FORGES["github"](push).signed("github", secret)
    lines = [f"POST /hooks/app/forge HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-length: {len(sent.body)}"]
    lines += [f"{name}: {value}" for name, value in sent.headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + sent.body


def _measure(figures: Figures, port: int, connections: int, requests: list[bytes]) -> None:
    before, begun = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    times, codes = asyncio.run(_send_all(port, connections, requests))
    seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF)
    times.sort()
    for each in times:
        figures.add(f"{connections} at once", each)
    figures.note(f"{connections} at once: per second", len(times) / seconds)
    figures.note(f"{connections} at once: p99, s", times[int(len(times) * 0.99)])
    figures.note(f"{connections} at once: new", codes[202])
    figures.note(f"{connections} at once: known", codes[200])
    figures.note(f"{connections} at once: anything else", len(times) - codes[202] - codes[200])
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figures.note(f"{connections} at once: generator, share of a processor", spent / seconds)


async def _send_all(port: int, connections: int, requests: list[bytes]) -> tuple[list[float], Counter[int]]:
    waiting, times, codes = iter(requests), list[float](), Counter[int]()

    async def sender() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in waiting:
            begun = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            json.loads(await reader.readexactly(int(length.partition(b":")[2])))
            times.append(time.perf_counter() - begun)
            codes[int(head[9:12])] += 1
        writer.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(sender())
    return times, codes
