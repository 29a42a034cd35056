"""Looks at remotes that send no webhooks, each as often as its project wants."""

from __future__ import annotations

from flowbuild.services.decisions import Clock
from flowbuild.services.polling import PROJECTS, PollService
from flowbuild.services.signals import Signals
from flowbuild.services.threads import in_thread
from flowbuild.triggers.loop import loop

LOOK = 60.0  # seconds after which projects are looked for that were added or changed meanwhile


class Polling:
    """See triggers.loop for when it starts and ends."""

    def __init__(self, *, service: PollService, signals: Signals, clock: Clock) -> None:
        self._service = service
        self._signals = signals
        self._clock = clock

    async def run(self) -> None:
        """Work until cancelled."""
        await loop(self._look, topic=PROJECTS, signals=self._signals, clock=self._clock)

    async def _look(self) -> float | None:
        next_at = await in_thread(self._service.run_due)
        later = self._clock() + LOOK
        return later if next_at is None else min(next_at, later)
