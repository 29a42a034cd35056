"""Tells those who look at the list of runners when one of them falls silent: nobody else would say so.

No ticks: it looks when the first of those that were heard of may have fallen silent. Every server does it for its own
clients. Start/stop contract: `run` is started once and ends when its task is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from flowbuild.services.decisions import Clock
from flowbuild.services.news import runner_topic
from flowbuild.services.registration import ROLL, Registration
from flowbuild.services.signals import Signals

log = structlog.get_logger()
RETRY_SECONDS = 1.0


class RollCall:
    """The loop."""

    def __init__(
        self,
        *,
        registration: Registration,
        signals: Signals,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._registration = registration
        self._signals = signals
        self._clock = clock
        self._sleep = sleep
        self._present: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 (a database that is away for a while comes back)
                log.error("roll_call_failed", error=repr(error))
                await self._sleep(RETRY_SECONDS)

    async def _look(self) -> None:
        """Tell of those that fell silent since the last look, then wait until the next one may."""
        token = self._signals.token(ROLL)
        until = await asyncio.to_thread(self._registration.heard_until)
        gone, self._present = self._present - until.keys(), frozenset(until)
        self._signals.hear((runner_topic(name), "", "") for name in sorted(gone))
        first = min(until.values(), default=None)
        await self._signals.wait(ROLL, token, None if first is None else max(0.0, first - self._clock()))
