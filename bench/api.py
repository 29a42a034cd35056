"""(g) The API over HTTP with the history of years in the database: lists of runs, the page of a run, a part of a log."""

from __future__ import annotations

import asyncio
import base64
import random
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from bench.figures import Figures
from bench.serving import Server, admin, databases, measured, request, send_all, serving
from bench.store import BEGAN, STEPS, History, load_postgres, load_sqlite

from flowbuild.client.runner import Lease, LogEntry
from flowbuild.core.project import ProjectSettings
from flowbuild.core.retention import Retention
from flowbuild.services.ids import new_id
from flowbuild.services.logbook import Logbook
from flowbuild.store.database import Database
from flowbuild.store.projects import ProjectRow
from flowbuild.store.tables import attempts, runs

LOG = 64 << 20  # bytes of the log of which parts are read
LINE = b"2026-01-01 the quick brown fox jumps over the lazy dog and does it again and again 0123456789\n"
KEEPS_ALL = ProjectSettings(retention=Retention(runs=None, days=None, bytes=None))
ASKED = 400  # of each kind
CONNECTIONS = (1, 8)


def api(top: Path, *, number: int = 100_000) -> list[Figures]:
    """Measure with both databases, each with that many runs."""
    results = []
    with databases() as found:
        for kind, make in found.items():
            database = make()
            home = top / f"api-{kind}"
            token = admin(home, database)
            history = History(number, waiting=0)
            address = database or f"sqlite:///{home / 'flow.db'}"
            with closing(Database(address)) as opened:
                fill(opened, home / "flow.db" if not database else None, history)
            _write_log(home / "logs", history.ids[-1])
            figures = Figures(f"api {kind}", f"(g) API, {kind}: {number} runs, {number * STEPS} attempts")
            with serving(home, database) as server:
                for name, path in _questions(history).items():
                    _ask(figures, server, name, _requests(server.port, token, path))
            shutil.rmtree(home, ignore_errors=True)
            results.append(figures)
    return results


def fill(database: Database, file: Path | None, history: History) -> None:
    with database.write() as tx:
        for index, name in enumerate(sorted(set(history.projects))):
            url = f"https://forge.invalid/{index}.git"
            tx.projects.add(ProjectRow(new_id(BEGAN), name, url, BEGAN, settings=KEEPS_ALL))
    for table, rows in ((runs, history.runs()), (attempts, history.attempts())):
        if file is not None:
            load_sqlite(file, table, rows)
        else:
            load_postgres(database, table, rows)


def _write_log(logs: Path, run: str) -> None:
    logbook, lease, offset = Logbook(logs), Lease(run, "step-0", 1, 1), 0
    piece = LINE * (65_536 // len(LINE))
    while offset < LOG:
        offset = logbook.append(lease, offset, [LogEntry("main", "stdout", 1, piece)])
    logbook.close(lease)
    logbook.close_all()


def _questions(history: History) -> dict[str, Callable[[random.Random], str]]:
    """Return addresses by name, each call another one."""

    def some(chance: random.Random) -> int:
        return chance.randrange(history.number)

    def page(chance: random.Random) -> str:
        cursor = base64.urlsafe_b64encode(history.ids[some(chance)].encode()).decode().rstrip("=")
        return f"/api/v1/runs?project={history.projects[some(chance)]}&cursor={cursor}"

    last = f"/api/v1/runs/{history.ids[-1]}/steps/step-0/logs"
    return {
        "newest runs": lambda _chance: "/api/v1/runs",
        "some page of a project": page,
        "failed ones of a branch": lambda chance: f"/api/v1/runs?state=failed&branch=topic-{chance.randrange(500)}",
        "page of a run": lambda chance: f"/api/v1/runs/{history.ids[some(chance)]}",
        "1 MiB of a log": lambda chance: f"{last}?offset={chance.randrange(LOG - (1 << 20))}",
    }


def _requests(port: int, token: str, path: Callable[[random.Random], str]) -> list[bytes]:
    chance, headers = random.Random(3), {"authorization": f"Bearer {token}"}
    return [request(port, "GET", path(chance), headers) for _ in range(ASKED)]


def _ask(figures: Figures, server: Server, name: str, requests: list[bytes]) -> None:
    asyncio.run(send_all(server.port, 1, requests[:10]))  # not counted
    for connections in CONNECTIONS:

        def send(number: int = connections) -> tuple[list[float], Counter[int]]:
            return asyncio.run(send_all(server.port, number, requests))

        codes = measured(figures, f"{name}, {connections} at once", server, send)
        if set(codes) != {200}:
            raise RuntimeError(f"{name}: the server answered {dict(codes)}")
