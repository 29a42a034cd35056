"""Tells forges how it stands with commits."""

from __future__ import annotations

import asyncio

from flowbuild.core.errors import ForgeError
from flowbuild.forges.client import ForgeClient
from flowbuild.services.decisions import Clock
from flowbuild.services.notices import STATUS
from flowbuild.services.signals import Signals
from flowbuild.services.statuses import StatusService, Telling
from flowbuild.services.threads import in_thread
from flowbuild.triggers.loop import loop


class Statuses:
    """See triggers.loop for when it starts and ends."""

    def __init__(self, *, service: StatusService, client: ForgeClient, signals: Signals, clock: Clock) -> None:
        self._service = service
        self._client = client
        self._signals = signals
        self._clock = clock

    async def run(self) -> None:
        """Work until cancelled."""
        await loop(self._look, topic=STATUS, signals=self._signals, clock=self._clock)

    async def _look(self) -> float | None:
        tellings, next_at = await in_thread(self._service.due)
        async with asyncio.TaskGroup() as group:
            for telling in tellings:
                group.create_task(self._tell(telling))
        if not tellings:
            return next_at
        return self._clock()  # there may be more, and what failed has another time now

    async def _tell(self, telling: Telling) -> None:
        try:
            await self._client.set_status(telling.target, telling.token, telling.status)
        except ForgeError as error:
            await in_thread(self._service.failed, telling, error)
        else:
            await in_thread(self._service.told, telling)
