"""Turns deliveries of webhooks into runs, in order per project, different projects side by side."""

from __future__ import annotations

import asyncio

from flowbuild.services.decisions import Clock
from flowbuild.services.deliveries import INTAKE
from flowbuild.services.intake import IntakeService
from flowbuild.services.signals import Signals
from flowbuild.services.threads import in_thread
from flowbuild.triggers.loop import RETRY_SECONDS, log, loop

AT_ONCE = 4  # projects whose deliveries are looked at side by side


class Intake:
    """See triggers.loop for when it starts and ends."""

    def __init__(self, *, service: IntakeService, signals: Signals, clock: Clock) -> None:
        self._service = service
        self._signals = signals
        self._clock = clock
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            await loop(lambda: self._look(group), topic=INTAKE, signals=self._signals, clock=self._clock)

    async def _look(self, group: asyncio.TaskGroup) -> float | None:
        """Give every project with deliveries a task, unless it has one; return when the first of the others is due."""
        busy = frozenset(self._busy)  # one that ends from now on says so, and we look again
        pending = await in_thread(self._service.pending)
        now, later = self._clock(), []
        for project, next_at in pending.items():
            if project in busy:
                continue
            if next_at > now:
                later.append(next_at)
            else:
                self._busy[project] = group.create_task(self._work(project))
        return min(later, default=None)

    async def _work(self, project: str) -> None:
        try:
            async with self._room:
                while await in_thread(self._service.work, project):
                    pass
        except Exception as error:  # noqa: BLE001 (one project must not stop the others)
            log.error("intake_failed", project=project, exc_info=error)
            await asyncio.sleep(RETRY_SECONDS)
        finally:
            del self._busy[project]
            self._signals.notify(INTAKE)
