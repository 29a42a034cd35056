"""Begins what schedules ask for, when they ask for it."""

from __future__ import annotations

from flowbuild.services.decisions import Clock
from flowbuild.services.schedules import SCHEDULES, ScheduleService
from flowbuild.services.signals import Signals
from flowbuild.services.threads import in_thread
from flowbuild.triggers.loop import loop


class Scheduler:
    """See triggers.loop for when it starts and ends."""

    def __init__(self, *, service: ScheduleService, signals: Signals, clock: Clock) -> None:
        self._service = service
        self._signals = signals
        self._clock = clock

    async def run(self) -> None:
        """Work until cancelled."""
        await loop(self._look, topic=SCHEDULES, signals=self._signals, clock=self._clock)

    async def _look(self) -> float | None:
        return await in_thread(self._service.run_due)
