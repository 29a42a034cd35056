"""What is done for many projects: side by side, for each one thing at a time, in threads of its own.

Whatever one project waits for, a remote that never ends its answer, the others go on; and as the threads are not those of
everybody, so does the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from flowbuild.services.decisions import Clock
from flowbuild.services.signals import Signals
from flowbuild.services.threads import in_thread, to_the_end
from flowbuild.triggers.loop import RETRY_SECONDS, log, loop

AT_ONCE = 8  # projects of which something is done side by side


class Lanes:
    """See triggers.loop for when it starts and ends.

    `due` tells for which projects there is something to do, and when; `work` does what there is for one, and may leave some
    of it for later. They block. `patience`: seconds after which it is looked again although no signal came.
    """

    def __init__(
        self,
        *,
        topic: str,
        due: Callable[[], Mapping[str, float]],
        work: Callable[[str], object],
        signals: Signals,
        clock: Clock,
        patience: float | None = None,
    ) -> None:
        self._topic = topic
        self._due = due
        self._work = work
        self._signals = signals
        self._clock = clock
        self._patience = patience
        self._busy: set[str] = set()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix=topic)

    async def run(self) -> None:
        """Work until cancelled."""
        with self._threads:
            async with asyncio.TaskGroup() as group:
                await loop(lambda: self._look(group), topic=self._topic, signals=self._signals, clock=self._clock)

    async def _look(self, group: asyncio.TaskGroup) -> float | None:
        """Give every project whose time has come a task, unless it has one; return when the first of the others is due."""
        busy = frozenset(self._busy)  # one that ends from now on says so, and we look again
        times, now = await in_thread(self._due), self._clock()
        later = [] if self._patience is None else [now + self._patience]
        for project in times.keys() - busy:
            if times[project] > now:
                later.append(times[project])
            else:
                self._busy.add(project)
                group.create_task(self._one(project))
        return min(later, default=None)

    async def _one(self, project: str) -> None:
        try:
            running, context = asyncio.get_running_loop(), copy_context()
            await to_the_end(running.run_in_executor(self._threads, context.run, self._work, project))
        except Exception as error:  # noqa: BLE001 (one project must not stop the others)
            log.error("work_failed", topic=self._topic, project=project, exc_info=error)
            await asyncio.sleep(RETRY_SECONDS)
        finally:
            self._busy.discard(project)
            self._signals.notify(self._topic)
