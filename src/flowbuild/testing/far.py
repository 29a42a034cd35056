"""Runners on other machines, over real HTTP: everything is real but the engine.

A `FarMachine` is what outlives the program: directories, identity, engine with its containers. Each `life` is one life
of `flow runner` on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from flowbuild.client.base import RunnerRequest
from flowbuild.engine.base import Engine
from flowbuild.runner.worker import Worker
from flowbuild.testing.engine import DummyEngine, Machine
from flowbuild.testing.site import Site
from flowbuild.wiring import runner


@dataclass(slots=True)
class FarMachine:
    """A machine with a data directory `home`."""

    home: Path
    name: str = "far"
    capacity: int = 2
    store_bytes: int = 0
    machine: Machine = field(default_factory=Machine)

    def engine(self) -> DummyEngine:
        """Return a further engine on the machine, in a hurry: a second takes a hundredth of one."""
        return DummyEngine(self.machine, sleep=lambda seconds: asyncio.sleep(seconds / 100))

    async def register(self, site: Site, request: RunnerRequest | None = None) -> None:
        """Make the machine a runner of a server, as asked if that is given."""
        if request is None:
            answer = await site.post("/api/v1/runners/codes", "admin")
            request = RunnerRequest((site.url,), answer.json()["code"], self.name)
        self.home.mkdir(parents=True, exist_ok=True)
        await runner.identify(self.home, request, self.capacity, self.engine())

    @asynccontextmanager
    async def life(self, *, urls: tuple[str, ...] = (), engine: Engine | None = None) -> AsyncIterator[Worker]:
        """Live as a runner; at the end the program is gone, and containers go on. `urls`: where the server is now."""
        identity = await runner.identify(self.home, RunnerRequest(), self.capacity, engine or self.engine())
        identity = replace(identity, urls=urls or identity.urls)
        engine = engine or self.engine()
        living = runner.machine(self.home, identity, self.capacity, engine, store_bytes=self.store_bytes)
        async with living as worker:
            working = asyncio.create_task(worker.run())
            try:
                yield worker
            finally:
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)

    def leftovers(self) -> list[str]:
        """Return what is left in the engine and on the disk although nothing runs."""
        found = [f"unit {name}" for name in self.machine.units]
        found += [f"network {name}" for name in self.machine.networks]
        found += [f"directory {path.name}" for path in (self.home / "work").iterdir() if path.name != ".trash"]
        found += [f"repository {path.name}" for path in (self.home / "runs").iterdir()]
        return found + [f"result {path.name}" for path in (self.home / "spool").iterdir()]
