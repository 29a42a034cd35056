"""A data directory with a project beside it, and the whole server over both, on an engine without containers.

The object graph is the real one (`wiring`); only the engine is a `DummyEngine`. Each `life` is one life of the program:
several may follow one another, or be open at the same time, over the same files.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from flowbuild.client.base import RunUpdate, RunView, StartRequest
from flowbuild.core.ids import RunId
from flowbuild.engine.base import Engine
from flowbuild.services.client import LocalClient
from flowbuild.settings import Settings
from flowbuild.testing.databases import fill
from flowbuild.testing.engine import DummyEngine, Machine
from flowbuild.testing.images import BUSYBOX
from flowbuild.testing.program import git
from flowbuild.wiring.driving import directing, driving
from flowbuild.wiring.local import Local

LIMIT = 120.0  # seconds that anything here may take; it is only there so that nothing hangs


def service(*, health: bool = False, **script: object) -> dict[str, Any]:
    """Return a service that acts out a `testing.engine.Script`, given in lower case."""
    made: dict[str, Any] = {
        "image": BUSYBOX,
        "environment": {f"FLOW_TEST_{key.upper()}": str(value) for key, value in script.items()},
    }
    if health:
        made["healthcheck"] = {"test": ["CMD", "true"]}
    return made


def step(*, health: bool = False, then: str = "", fail: str = "", more: Any = None, **script: object) -> dict[str, Any]:
    """Return a step with one such service; `then` and `fail` name what follows, `more` holds further keys of the step."""
    made: dict[str, Any] = {"compose": {"services": {"main": service(health=health, **script)}}}
    if then:
        made["success"] = then.split()
    if fail:
        made["fail"] = fail.split()
    return made | dict(more or {})


@dataclass(slots=True)
class Life:
    """One life of the program: its services and what a client of it does."""

    local: Local
    client: LocalClient
    abandoned: tuple[RunView, ...] = ()

    async def start(self, home: Home, **request: Any) -> RunView:
        """Start the only pipeline of the project."""
        return await self.client.start(StartRequest(str(home.project), **request))

    async def updates(self, run: str) -> list[RunUpdate]:
        """Return all that happens to a run until it is final."""
        async with asyncio.timeout(LIMIT):
            return [update async for update in self.client.watch(run)]

    async def finished(self, run: str) -> RunView:
        """Return a run when it is final and, on this machine, cleaned up."""
        view = (await self.updates(run))[-1].run
        async with asyncio.timeout(LIMIT):
            await self.local.runners.settled(RunId(view.id))
        return view

    async def until(self, run: str, step: str, *states: str) -> RunView:
        """Return the run as soon as a step has one of the states, or does what a phase of that name says."""
        async with asyncio.timeout(LIMIT):
            async for update in self.client.watch(run):
                found = next(view for view in update.run.steps if view.key == step)
                if found.state in states or any(attempt.phase in states for attempt in found.attempts):
                    return update.run
        raise AssertionError(f"{step} never was {' or '.join(states)}")

    async def speaks(self, run: str, step: str) -> None:
        """Return as soon as a container of a step has written something."""
        async with asyncio.timeout(LIMIT):
            async for chunk in self.client.logs(run, step, follow=True):
                if chunk.service != "flow":
                    return
        raise AssertionError(f"{step} never wrote anything")

    async def log(self, run: str, step: str, **options: Any) -> bytes:
        """Return the log of a step, all services together."""
        return b"".join([chunk.data async for chunk in self.client.logs(run, step, **options)])


@dataclass(slots=True)
class Home:
    """The files below `top`, and the machine whose engine keeps what runs when a program dies."""

    top: Path
    machine: Machine = field(default_factory=Machine)
    capacity: int = 4
    database: str = ""  # URL of a PostgreSQL database; none: SQLite below `data`
    runner: bool = True  # whether servers have one inside
    internal: tuple[str, ...] = ()  # hosts that the server may speak to although they are not public

    @property
    def project(self) -> Path:
        """Return the work tree of the project."""
        return self.top / "project"

    @property
    def data(self) -> Path:
        """Return the data directory."""
        return self.top / "home"

    def write(self, steps: Mapping[str, Any], **pipeline: Any) -> None:
        """Make a project with one pipeline, `test`."""
        self.project.mkdir()
        self.write_again(steps, **pipeline)
        git(self.project, "init", "--quiet", "--initial-branch=main")
        git(self.project, "add", "--all")
        git(self.project, "commit", "--quiet", "--message", "test")

    def write_again(self, steps: Mapping[str, Any], **pipeline: Any) -> None:
        """Change the pipeline in the work tree."""
        document = {"pipelines": {"test": {**pipeline, "steps": dict(steps)}}}
        (self.project / ".flow.yml").write_text(yaml.safe_dump(document, sort_keys=False))

    def engine(self) -> DummyEngine:
        """Return a further engine on the machine, in a hurry: a second takes a hundredth of one."""
        return DummyEngine(self.machine, sleep=lambda seconds: asyncio.sleep(seconds / 100))

    def settings(self) -> Settings:
        """Return the options; projects of a server may come from anywhere below `top`."""
        return Settings(
            home=self.data,
            capacity=self.capacity,
            runner=self.runner,
            allow_local=(str(self.top),),
            allow_internal=self.internal,
            database=self.database,
        )

    def local(self, *, drive: bool, serve: bool = False) -> Local:
        """Return the services of a further process. Blocks."""
        local = Local(self.settings(), str(self.project))
        if not self.database:
            fill(self.data / "flow.db")
        local.open(drive=drive, serve=serve)
        return local

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[Life]:
        """Live as a program that drives nothing."""
        local = await asyncio.to_thread(self.local, drive=False)
        try:
            yield Life(local, local.client())
        finally:
            local.close()

    @asynccontextmanager
    async def life(
        self, *, abandon: bool = False, serving: bool = False, engine: Engine | None = None
    ) -> AsyncIterator[Life]:
        """Live as a program that drives runs."""
        local = await asyncio.to_thread(self.local, drive=True, serve=serving)
        try:
            local.ownership.listen(local.signals)
            async with driving(local, abandon=abandon, on=engine or self.engine()) as abandoned:
                yield Life(local, local.client(), tuple(abandoned))
        finally:
            local.ownership.release()
            local.close()

    @asynccontextmanager
    async def directing(self) -> AsyncIterator[Life]:
        """Live as a server whose runners are all on other machines; it goes on with what earlier lives began."""
        local = await asyncio.to_thread(self.local, drive=True, serve=True)
        try:
            local.ownership.listen(local.signals)
            async with directing(local):
                yield Life(local, local.client())
        finally:
            local.ownership.release()
            local.close()

    def leftovers(self) -> list[str]:
        """Return what is left in the engine and on the disk although nothing runs."""
        work, spool = self.data / "work", self.data / "spool"
        found = [f"unit {name}" for name in self.machine.units] + [f"network {name}" for name in self.machine.networks]
        found += [f"directory {path.name}" for path in work.iterdir() if path.name != ".trash"]
        found += [f"trash {path.name}" for path in work.glob(".trash/*")]
        found += [f"beginning of a run {path.name}" for path in (self.data / "runs").glob(".*")]
        return found + [f"result {path.name}" for path in spool.iterdir()]
