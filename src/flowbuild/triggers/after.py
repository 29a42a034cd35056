"""Begins the pipelines that follow others."""

from __future__ import annotations

from flowbuild.services.decisions import Clock
from flowbuild.services.following import FollowService
from flowbuild.services.notices import AFTER
from flowbuild.services.signals import Signals
from flowbuild.services.threads import in_thread
from flowbuild.triggers.loop import loop


class After:
    """See triggers.loop for when it starts and ends."""

    def __init__(self, *, service: FollowService, signals: Signals, clock: Clock) -> None:
        self._service = service
        self._signals = signals
        self._clock = clock

    async def run(self) -> None:
        """Work until cancelled."""
        await loop(self._look, topic=AFTER, signals=self._signals, clock=self._clock)

    async def _look(self) -> float | None:
        return await in_thread(self._service.run_due)
