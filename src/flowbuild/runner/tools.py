"""What the attempts of one runner share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from flowbuild.client.runner import Assignment, Lease, RunnerClient
from flowbuild.core.ids import CommitId
from flowbuild.engine.base import Engine
from flowbuild.runner.patience import Patience
from flowbuild.runner.prepared import Prepared
from flowbuild.runner.rights import Rights
from flowbuild.runner.spool import Spool
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.slots import Slots


@dataclass(frozen=True, slots=True)
class RunnerPlaces:
    """Where a runner works: `work` for workspaces; `instance` marks its objects in the engine as its own."""

    work: Path
    instance: str

    def directory(self, run: str, step: str, attempt: int, epoch: int) -> Path:
        """Return where the workspace of an attempt is mounted from."""
        return self.work / run / f"{step}.{attempt}.{epoch}"


class Repositories(Protocol):
    """The run repositories, as far as a runner has to do with them."""

    async def fetch(self, assignment: Assignment) -> RunRepository:
        """Return the repository of an attempt, with all of its input in it. Raises WorkspaceError."""
        ...

    async def history(self, assignment: Assignment) -> tuple[str, ...]:
        """Return the object directories on this machine that the `.git` of the workspace borrows from. Raises WorkspaceError."""
        ...

    async def push(self, assignment: Assignment, repository: RunRepository, commit: CommitId) -> None:
        """Record the result of an attempt under its ref, where the server looks for it. Raises Conflict, WorkspaceError."""
        ...

    def release(self, lease: Lease) -> None:
        """Take note that an attempt, for which something was fetched, is over here."""
        ...

    async def forget(self, run: str) -> None:
        """Let go of what is kept of a run."""
        ...


class NearRepositories:
    """Those of a server on the same machine: its own. Opening one costs more than a tiny step's whole git work."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._open: dict[str, RunRepository] = {}

    async def fetch(self, assignment: Assignment) -> RunRepository:
        """See Repositories."""
        path = assignment.repository
        if path not in self._open:
            self._open[path] = await asyncio.to_thread(RunRepository.open, Path(path))
        return self._open[path]

    async def history(self, assignment: Assignment) -> tuple[str, ...]:
        """See Repositories."""
        return assignment.source_objects

    async def push(self, assignment: Assignment, repository: RunRepository, commit: CommitId) -> None:
        """See Repositories."""
        lease = assignment.lease
        write = partial(repository.write_attempt_ref, lease.step, lease.attempt, lease.epoch, commit)
        await self._patience(lambda: asyncio.to_thread(write))

    def release(self, lease: Lease) -> None:
        """See Repositories."""

    async def forget(self, run: str) -> None:
        """See Repositories."""
        self._open = {path: repository for path, repository in self._open.items() if run not in path}


class Cleaner:
    """Work off the critical path; `drain` waits for all of it."""

    def __init__(self, on_error: Callable[[BaseException], None]) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_error = on_error

    def __call__(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do the work some time soon."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def drain(self) -> None:
        """Return when nothing is left to do."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_error(error)


class Once:
    """Does something at the first call only."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act: Callable[[], None] | None = act

    def __call__(self) -> None:
        """Do it, unless it was done."""
        act, self._act = self._act, None
        if act is not None:
            act()


@dataclass(frozen=True, slots=True)
class Tools:
    """Collaborators of an attempt. `clean` takes work that nobody waits for, `prepare` steps that may come next."""

    client: RunnerClient
    engine: Engine
    slots: Slots
    rights: Rights
    spool: Spool
    repositories: Repositories
    prepared: Prepared
    places: RunnerPlaces
    clean: Cleaner
    prepare: Callable[[Sequence[Assignment]], None]
    node: str
