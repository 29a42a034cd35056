"""Builds the object graph; nothing else constructs collaborators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from flowbuild.client.base import Check, DebugRequest, RunView
from flowbuild.core.ids import RunId
from flowbuild.services.client import LocalClient
from flowbuild.settings import read_settings
from flowbuild.wiring.local import Local


@dataclass(slots=True)
class LocalSession:
    """See client.base.Session."""

    client: LocalClient
    abandoned: Sequence[RunView]
    local: Local

    async def settle(self, run: str) -> None:
        """See Session."""
        await self.local.runners.settled(RunId(run))

    async def doctor(self) -> Sequence[Check]:
        """See Session."""
        from flowbuild.wiring.driving import doctor  # noqa: PLC0415 (loads the engine's libraries)

        return await doctor(self.local)

    async def debug(self, request: DebugRequest) -> int:
        """See Session."""
        from flowbuild.wiring.shells import debug  # noqa: PLC0415 (loads the engine's libraries)

        return await debug(self.local, request)


@asynccontextmanager
async def connect(directory: str, *, drive: bool = False, abandon: bool = False) -> AsyncIterator[LocalSession]:
    """Open a session on the local server; see client.base.Connect."""
    local = Local(read_settings(), directory)
    await asyncio.to_thread(local.open, drive=drive)
    async with AsyncExitStack() as stack:
        stack.callback(local.close)
        session = LocalSession(local.client(), (), local)
        if drive:
            from flowbuild.wiring.driving import driving  # noqa: PLC0415 (loads the engine's libraries)

            local.ownership.listen(local.signals)
            stack.callback(local.ownership.release)
            session.abandoned = await stack.enter_async_context(driving(local, abandon=abandon))
        yield session
