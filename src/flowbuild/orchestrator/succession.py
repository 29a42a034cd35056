"""Takes over the runs of servers that died: whoever shares the database goes on with them.

Start/stop contract as of `orchestrator.loop`. No ticks: the death of an owner wakes us, and so does a new owner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from flowbuild.services.owners import Owners
from flowbuild.services.runs import RunService
from flowbuild.services.signals import Signals
from flowbuild.services.threads import in_thread
from flowbuild.store.database import Database

log = structlog.get_logger()
OWNERS = "owners"
RETRY_SECONDS = 1.0


class Succession:
    """The loop."""

    def __init__(
        self,
        *,
        database: Database,
        runs: RunService,
        owners: Owners,
        signals: Signals,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._runs = runs
        self._owners = owners
        self._signals = signals
        self._sleep = sleep

    async def begin(self) -> None:
        """Take over what is certain to have nobody, before anybody looks at it."""
        if not self._owners.patience:
            await in_thread(self._inherit)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            token = self._signals.token(OWNERS)
            try:
                if await in_thread(self._dead):
                    await self._sleep(self._owners.patience)
                    await in_thread(self._inherit)
            except Exception as error:  # noqa: BLE001 (a database that is away for a while comes back)
                log.error("succession_failed", error=repr(error))
                await self._sleep(RETRY_SECONDS)
            else:
                await self._signals.wait(OWNERS, token)

    def _dead(self) -> Sequence[str]:
        """Return the owners of runs of servers that are missing; we are woken when one of the others is."""
        for token in self._owners.living():
            self._owners.mind(token, self._signals)
        with self._database.read() as tx:
            return self._owners.dead(tx.runs.owners(served=True))

    def _inherit(self) -> None:
        dead = self._dead()
        for run in self._runs.inherit(dead):
            log.info("run_inherited", run=run)
