"""(h) Runs per minute from the start over REST to their end; steps without containers: what is measured is ours.

The engine that stands in for Docker's is in this process; what it costs is told, too.
"""

from __future__ import annotations

import asyncio
import json
import resource
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.figures import Figures
from bench.serving import Connection, Server, admin, databases, request, serving

from flowbuild.client.http import HttpClient
from flowbuild.core.states import RunState
from flowbuild.testing.engine import DummyEngine
from flowbuild.testing.engine_socket import serving_engine
from flowbuild.testing.home import Home, step

SHAPES = {
    "one step": {"a": step()},
    "chain of 5": {"a": step(then="b"), "b": step(then="c"), "c": step(then="d"), "d": step(then="e"), "e": step()},
}
AT_ONCE = (1, 8)
RUNS = 40  # of each kind


def runs(top: Path) -> list[Figures]:
    """Measure with both databases."""
    results = list[Figures]()
    with databases() as found:
        for kind, make in found.items():
            figures = Figures(f"runs {kind}", f"(h) runs from REST start to end, {kind}, {RUNS} of each kind")
            for shape, steps in SHAPES.items():
                place = top / f"r{len(results)}{len(steps)}"
                place.mkdir()
                asyncio.run(_measure(figures, place, make(), shape, steps))
                shutil.rmtree(place, ignore_errors=True)
            results.append(figures)
    return results


async def _measure(figures: Figures, top: Path, database: str, shape: str, steps: Mapping[str, Any]) -> None:
    home = Home(top)
    home.write(steps)
    token = await asyncio.to_thread(admin, home.data, database)
    project = top.name
    async with near_server(home, database, DummyEngine(home.machine)) as server:
        await add_project(server, token, project, home.project)
        client = HttpClient(f"http://127.0.0.1:{server.port}", token, project=project)
        await _run(client, project)  # not counted: the first one fetches
        for number in AT_ONCE:
            name, cpu, mine, began = f"{shape}, {number} at once", server.cpu(), _used(), time.perf_counter()
            waiting = iter(range(RUNS))

            async def person(waiting: Iterator[int] = waiting, name: str = name) -> None:
                for _ in waiting:
                    start = time.perf_counter()
                    await _run(client, project)
                    figures.add(name, time.perf_counter() - start)

            await asyncio.gather(*(person() for _ in range(number)))
            seconds = time.perf_counter() - began
            figures.note(f"{name}: per minute", RUNS / seconds * 60)
            figures.note(f"{name}: processor of the server each, ms", (server.cpu() - cpu) / RUNS * 1e3)
            figures.note(f"{name}: processor of this process each, ms", (_used() - mine) / RUNS * 1e3)
        await client.close()


@asynccontextmanager
async def near_server(home: Home, database: str, engine: DummyEngine) -> AsyncIterator[Server]:
    """Run a server with an engine that is in this process."""
    address = home.top / "engine.sock"
    starting = serving(home.data, database, engine=address, FLOW_ALLOW_LOCAL=str(home.top), FLOW_CAPACITY="8")
    async with serving_engine(engine, address):
        server = await asyncio.to_thread(starting.__enter__)
        try:
            yield server
        finally:
            await asyncio.to_thread(starting.__exit__, None, None, None)


async def add_project(server: Server, token: str, name: str, source: Path) -> None:
    connection = await Connection.open(server.port)
    body = json.dumps({"name": name, "url": str(source)}).encode()
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    status, said = await connection.ask(request(server.port, "POST", "/api/v1/projects", headers, body))
    connection.close()
    if status != 201:
        raise RuntimeError(said.decode())


async def _run(client: HttpClient, project: str) -> None:
    """Start a run and follow it to its end."""
    begun = await client.ask("POST", f"projects/{project}/pipelines/test/runs", {})
    state = None
    async for update in client.watch(begun["id"]):
        state = update.run.state
    if state is not RunState.SUCCEEDED:
        raise RuntimeError(f"a run is {state}")


def _used() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
