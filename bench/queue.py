"""(n) Many steps and few machines: what handing out one costs as the queue grows, and 200 steps over three machines.

Both databases; the engine that stands in for Docker's does nothing, so what is measured is ours.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

from bench.figures import Figures
from bench.serving import databases

from flowbuild.client.base import StartRequest
from flowbuild.client.runner import AttemptResult
from flowbuild.core.states import Outcome
from flowbuild.services.audit import Actor
from flowbuild.services.runners import RunnerService
from flowbuild.store.runners import RunnerRow
from flowbuild.testing.far import FarMachine
from flowbuild.testing.home import Home, Life, step
from flowbuild.testing.site import open_site

WIDTH = 100  # steps of a run, all at once
LENGTHS = (0, 50, 500, 5000)  # of the queue, besides what is handed out
ROUNDS = 60
STEPS = 200
NODES = 3
PLACES = 12  # over all machines
KINDS: Sequence[Mapping[str, float]] = ({}, {"cpus": 0.5}, {"cpus": 1})  # what steps reserve, by turns


def queue(top: Path) -> list[Figures]:
    """Measure with both databases."""
    results = []
    with databases() as found:
        for kind, make in found.items():
            growing = Figures(f"queue {kind}", f"(n) a step handed out and ended, by the length of the queue, {kind}")
            asyncio.run(_grow(growing, _home(top, kind, "g", make())))
            spread = Figures(f"spread {kind}", f"(n) {STEPS} queued steps on machines with {PLACES} places, {kind}")
            for nodes in (1, NODES):
                asyncio.run(_spread(spread, _home(top, kind, f"s{nodes}", make()), nodes))
            spread.ratio(f"{NODES} machines", "1 machines")
            results += [growing, spread]
    return results


def _home(top: Path, kind: str, name: str, database: str) -> Home:
    place = top / f"{kind}{name}"
    place.mkdir(parents=True)
    home = Home(place, database=database, runner=False)
    home.write({f"s{number}": _step(number) for number in range(WIDTH)})
    return home


def _step(number: int) -> dict[str, object]:
    made = step()
    reserved = KINDS[number % len(KINDS)]
    made["compose"]["services"]["main"]["deploy"] = {"resources": {"reservations": dict(reserved)}}
    return made


async def _grow(figures: Figures, home: Home) -> None:
    """Let one machine take and end steps while more and more wait."""
    async with home.directing() as life:
        await asyncio.to_thread(_register, life, "one")
        waiting = 0
        for length in LENGTHS:
            while waiting < length + ROUNDS:
                await asyncio.to_thread(life.local.runs.start, StartRequest(str(home.project)), by=Actor("ada"))
                waiting += WIDTH
            while waiting > length + ROUNDS:  # as long as said, in the middle of the measurement
                await _turn(life.local.runners)
                waiting -= 1
            for _ in range(ROUNDS):
                began = time.perf_counter()
                taken = await _turn(life.local.runners)
                figures.add(f"{length} wait: handed out", taken)
                figures.add(f"{length} wait: and ended", time.perf_counter() - began)
                waiting -= 1
    for length in LENGTHS[1:]:
        figures.ratio(f"{length} wait: handed out", f"{LENGTHS[0]} wait: handed out")


async def _turn(runners: RunnerService) -> float:
    """Take a step and end it; return the seconds until it was there."""
    began = time.perf_counter()
    found = await runners.claim("one/1", request_key=uuid.uuid4().hex, wait=0)
    if found is None:
        raise RuntimeError("nothing waits")
    taken = time.perf_counter() - began
    await runners.finish(found.lease, AttemptResult(Outcome.SUCCEEDED, exit_code=0, commit=found.input_commit))
    return taken


def _register(life: Life, name: str) -> None:
    facts = {"cpus": 64, "memory": 1 << 36}
    with life.local.database.write() as tx:
        tx.runners.add(RunnerRow(name, name, name, 256, "active", 1.0, {}, facts))


async def _spread(figures: Figures, home: Home, nodes: int) -> None:
    """Run steps on so many machines, over HTTP, from the moment when all are queued."""
    # Server and runners share this process: with few threads, those that wait for the server would keep it from answering.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(64))
    async with open_site(home, embedded=False) as site, AsyncExitStack() as stack:
        machines = [FarMachine(home.top / f"m{n}", f"m{n}", PLACES // nodes) for n in range(nodes)]
        for machine in machines:
            await machine.register(site)
        begun = [await site.life.start(home) for _ in range(STEPS // WIDTH)]
        start = time.perf_counter()
        for machine in machines:
            await stack.enter_async_context(machine.life())
        views = [(await site.life.updates(each.id))[-1].run for each in begun]
        seconds = time.perf_counter() - start
        if any(view.state != "succeeded" for view in views):
            raise RuntimeError(f"runs are {[str(view.state) for view in views]}")
        figures.add(f"{nodes} machines", seconds)
        figures.note(f"{nodes} machines: steps per second", STEPS / seconds)
        shares = [sum(s.attempts[-1].node == m.name for view in views for s in view.steps) for m in machines]
        figures.note(f"{nodes} machines: the least had, of {STEPS}", min(shares))
