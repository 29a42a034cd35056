"""(f) Webhooks: how many signed deliveries of 8 KB a server takes per second, each on the disk before it is acknowledged.

The deliveries are signed before they are sent, a tenth of them twice. What the generator itself costs is told, too: it
shares the processors.
"""

from __future__ import annotations

import asyncio
import random
import resource
import shutil
import time
from collections import Counter
from functools import partial
from pathlib import Path

from bench.figures import Figures
from bench.serving import databases, measured, request, send_all, serving

from flowbuild.services.audit import Actor
from flowbuild.services.hooks import HookChange, HookService
from flowbuild.services.ids import new_id
from flowbuild.settings import Settings
from flowbuild.store.projects import ProjectRow
from flowbuild.testing.payloads import FORGES, Push
from flowbuild.wiring.local import Local
from flowbuild.wiring.projects import open_vault

BODY = 8000  # bytes of the message, which make a body of a little more
CONNECTIONS = (1, 8, 32, 128)


def webhooks(top: Path, *, count: int = 2000) -> list[Figures]:
    """Measure with few and with many senders at once; `count` deliveries each."""
    results = []
    with databases() as found:
        for kind, make in found.items():
            database = make()
            title = f"(f) webhooks, {kind}: {count} deliveries of {BODY // 1000} KB, a tenth of them twice"
            figures, home = Figures(f"webhooks {kind}", title), top / f"webhooks-{kind}"
            secret = _prepare(home, database)
            with serving(home, database) as server:
                for connections in CONNECTIONS:
                    requests = [_request(server.port, secret, f"{connections}/{number}") for number in range(count)]
                    requests += random.Random(1).sample(requests, count // 10)
                    name, before = f"{connections} at once", _used()
                    codes = measured(
                        figures,
                        name,
                        server,
                        partial(_sent, server.port, connections, requests),
                    )
                    figures.note(f"{name}: processor of the sender each, ms", (_used() - before) / len(requests) * 1e3)
                    _check(codes, count)
            shutil.rmtree(home, ignore_errors=True)
            results.append(figures)
    return results


def _check(codes: Counter[int], count: int) -> None:
    """Whether each delivery was new once and known the second time."""
    if codes != {202: count, 200: count // 10}:
        raise RuntimeError(f"the server answered {dict(codes)} to {count} deliveries")


def _used() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _prepare(home: Path, database: str) -> str:
    """Make a server's home with a project and a webhook; return the secret of that."""
    local = Local(Settings(home=home, database=database), None)
    local.open(drive=False)
    with local.database.write() as tx:
        tx.projects.add(ProjectRow(new_id(time.time()), "app", "https://forge.invalid/team/app.git", time.time()))
    hooks = HookService(local.database, open_vault(local), time.time)
    _row, secret = hooks.add(Actor("bench"), "app", "github", "forge", HookChange())
    local.close()
    return secret


def _sent(port: int, connections: int, requests: list[bytes]) -> tuple[list[float], Counter[int]]:
    return asyncio.run(send_all(port, connections, requests))


def _request(port: int, secret: str, name: str) -> bytes:
    """Return a whole request. Its push asks for no runs: what is measured is the way to the disk."""
    push = Push(before=f"{random.getrandbits(160):040x}", message=f"[skip ci] {name} ".ljust(BODY, "x"))
    sent = FORGES["github"](push).signed("github", secret)
    return request(port, "POST", "/hooks/app/forge", sent.headers, sent.body)
