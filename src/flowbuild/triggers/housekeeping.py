"""Tidies up: at the start of the server, and then once an hour."""

from __future__ import annotations

from flowbuild.services.decisions import Clock
from flowbuild.services.retention import RetentionService
from flowbuild.services.signals import Signals
from flowbuild.services.threads import in_thread
from flowbuild.triggers.loop import loop

TIDY = "tidy"  # topic: tidy up now
HOUR = 3600.0


class Housekeeper:
    """See triggers.loop for when it starts and ends."""

    def __init__(self, *, service: RetentionService, signals: Signals, clock: Clock) -> None:
        self._service = service
        self._signals = signals
        self._clock = clock

    async def run(self) -> None:
        """Work until cancelled."""
        await loop(self._tidy, topic=TIDY, signals=self._signals, clock=self._clock)

    async def _tidy(self) -> float:
        await in_thread(self._service.tidy_all)
        return self._clock() + HOUR
