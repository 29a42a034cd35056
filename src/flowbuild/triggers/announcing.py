"""Works out who is told of what happened."""

from __future__ import annotations

from flowbuild.services.announcing import AnnounceService
from flowbuild.services.decisions import Clock
from flowbuild.services.notices import NEWS
from flowbuild.services.signals import Signals
from flowbuild.services.threads import in_thread
from flowbuild.triggers.loop import loop


class Announcing:
    """See triggers.loop for when it starts and ends."""

    def __init__(self, *, service: AnnounceService, signals: Signals, clock: Clock) -> None:
        self._service = service
        self._signals = signals
        self._clock = clock

    async def run(self) -> None:
        """Work until cancelled."""
        await loop(self._look, topic=NEWS, signals=self._signals, clock=self._clock)

    async def _look(self) -> float | None:
        return await in_thread(self._service.run_due)
