"""Looks at remotes, each as often as its project wants, several side by side: one that hangs holds up no other."""

from __future__ import annotations

import asyncio

from flowbuild.services.decisions import Clock
from flowbuild.services.polling import PROJECTS, PollService
from flowbuild.services.signals import Signals
from flowbuild.services.threads import in_thread
from flowbuild.triggers.loop import RETRY_SECONDS, log, loop

LOOK = 60.0  # seconds after which projects are looked for that were added or changed meanwhile
AT_ONCE = 4  # projects that are looked at side by side


class Polling:
    """See triggers.loop for when it starts and ends."""

    def __init__(self, *, service: PollService, signals: Signals, clock: Clock) -> None:
        self._service = service
        self._signals = signals
        self._clock = clock
        self._busy: set[str] = set()
        self._room = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            await loop(lambda: self._look(group), topic=PROJECTS, signals=self._signals, clock=self._clock)

    async def _look(self, group: asyncio.TaskGroup) -> float:
        """Give every project whose time has come a task, unless it has one; return when to look again."""
        busy = frozenset(self._busy)  # one that ends from now on says so, and we look again
        times, now = await in_thread(self._service.due), self._clock()
        for name in times.keys() - busy:
            if times[name] <= now:
                self._busy.add(name)
                group.create_task(self._one(name))
        return min([now + LOOK, *(at for name, at in times.items() if name not in busy and at > now)])

    async def _one(self, name: str) -> None:
        try:
            async with self._room:
                await in_thread(self._service.look, name)
        except Exception as error:  # noqa: BLE001 (one project must not stop the others)
            log.error("look_failed", project=name, exc_info=error)
            await asyncio.sleep(RETRY_SECONDS)
        finally:
            self._busy.discard(name)
            self._signals.notify(PROJECTS)
