"""Watches over the leases of runners on other machines. No ticks: it looks when the next one may have run out.

Start/stop contract: `run` is started once and ends when its task is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from flowbuild.services.decisions import LEASES, Clock
from flowbuild.services.leases import Leases
from flowbuild.services.signals import Signals

log = structlog.get_logger()
RETRY_SECONDS = 1.0
LATE = 10.0  # seconds; a look that comes later than this says nothing about runners, only about us


class Watch:
    """The loop. While this program did not run, slept or had no database, no runner could be heard: leases begin anew."""

    def __init__(
        self,
        *,
        leases: Leases,
        signals: Signals,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._leases = leases
        self._signals = signals
        self._clock = clock
        self._sleep = sleep

    async def run(self) -> None:
        """Watch until cancelled."""
        deaf = True
        while True:
            try:
                if deaf:
                    await asyncio.to_thread(self._leases.renew)
                deaf = await self._look()
            except Exception as error:  # noqa: BLE001 (a database that is away for a while comes back)
                log.error("watch_failed", error=repr(error))
                deaf = True
                await self._sleep(RETRY_SECONDS)

    async def _look(self) -> bool:
        """Look once, then wait until the next lease may be over; return whether that took longer than it should."""
        token = self._signals.token(LEASES)
        due = await asyncio.to_thread(self._leases.expire)
        patience = None if due is None else max(0.0, due - self._clock())
        await self._signals.wait(LEASES, token, patience)
        return due is not None and self._clock() - due > LATE
