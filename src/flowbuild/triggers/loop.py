"""What all triggers have in common: they do what there is to do, then wait for a signal or for a time. No ticks.

Start/stop contract: `run` is started once and ends when its task is cancelled; what a thread was doing is done then. When
the program is killed instead, the next life finds in the database what is still to be done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from flowbuild.services.decisions import Clock
from flowbuild.services.signals import Signals

log = structlog.get_logger()
RETRY_SECONDS = 1.0  # after an error that nothing else caught: a database that is away for a while
Step = Callable[[], Awaitable[float | None]]
Sleep = Callable[[float], Awaitable[None]]


async def loop(step: Step, *, topic: str, signals: Signals, clock: Clock, sleep: Sleep = asyncio.sleep) -> None:
    """Call `step` at once, whenever `topic` changes, and at the time that it returned last; None: not by itself."""
    while True:
        try:
            token = signals.token(topic)
            next_at = await step()
            patience = None if next_at is None else max(0.0, next_at - clock())
            await signals.wait(topic, token, patience)
        except Exception as error:
            log.error("trigger_failed", topic=topic, exc_info=error)
            await sleep(RETRY_SECONDS)
