"""Stores and removes what steps left, also what belongs to users whose files this one may not touch.

Then the engine does it for us, in a container: see `workspace.helper`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import structlog

from flowbuild.core.errors import EngineError, Unreadable
from flowbuild.engine.base import Engine, HostProgram, Labels
from flowbuild.runner.patience import Patience
from flowbuild.workspace import helper
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.slots import Committed, Slot, Slots

log = structlog.get_logger()
PYTHON = os.path.realpath(sys.executable)
LIBRARIES = tuple(path for path in sys.path if path)
ENVIRONMENT = {"PYTHONPATH": os.pathsep.join(LIBRARIES), "PYTHONDONTWRITEBYTECODE": "1"} | {
    name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ
}


class Rights:
    """The working directories of a runner, with more rights than its user has. `instance` marks what it makes."""

    def __init__(self, engine: Engine, slots: Slots, instance: str, patience: Patience) -> None:
        self._patience = patience
        self._engine = engine
        self._slots = slots
        self._instance = instance

    async def commit(
        self, slot: Slot, repository: RunRepository, *, message: str, trailers: Mapping[str, str]
    ) -> Committed:
        """Store what is in a slot; see Slots.commit. Raises Unreadable when even the engine cannot help."""
        commit = partial(self._slots.commit, slot, repository, message=message, trailers=trailers)
        try:
            return await self._patience(lambda: asyncio.to_thread(commit))
        except Unreadable as error:
            if os.geteuid() == 0:
                raise
            log.info("helped", run=slot.run, why=error.message)
            request = helper.Request(
                *(os.geteuid(), os.getegid(), str(self._slots.root), str(slot.path)),
                repository=str(repository.path),
                run=slot.run,
                commit=slot.commit,
                message=message,
                trailers=trailers,
                trusted=slot.trusted,
            )
            writable = (str(self._slots.root), str(repository.path), str(repository.lfs.root))
            try:
                committed = helper.load_answer(await self._run(request, writable, slot.run))
            except (EngineError, ValueError) as failed:
                raise Unreadable(f"{error.message}; nor could the engine help: {failed}", hint=error.hint) from failed
            await asyncio.to_thread(self._slots.stored, slot, repository, committed.commit)
            return committed

    async def tidy(self) -> None:
        """Remove what was to be removed and could not be. Raises EngineError."""
        stuck = self._slots.stuck()
        if stuck is not None and os.geteuid() != 0:
            request = helper.Request(os.geteuid(), os.getegid(), str(self._slots.root), str(stuck))
            await self._run(request, (str(self._slots.root),), "")

    async def _run(self, request: helper.Request, writable: tuple[str, ...], run: str) -> bytes:
        """Run the helper with this very interpreter and its libraries, wherever they are installed."""
        return await self._engine.run_here(
            HostProgram(
                argv=(PYTHON, "-s", "-P", "-m", helper.__name__, request.dump()),
                environment=ENVIRONMENT,
                capabilities=request.capabilities,
                readable=(sys.base_prefix, str(Path(PYTHON).parent), *LIBRARIES),
                writable=writable,
                labels=Labels(self._instance, run),
            )
        )
