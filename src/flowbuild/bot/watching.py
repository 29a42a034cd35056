"""Telling those who watch a run, once: how it ended, or that it waits for an approval, for nothing goes on without them then."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from flowbuild.bot.messages import Message
from flowbuild.bot.replies import runs
from flowbuild.bot.words import Refused
from flowbuild.client.base import RunView, ServerClient
from flowbuild.core.errors import FlowError

MOST, MOST_OF_ONE = 500, 10
Say = Callable[[str, str, Message], Awaitable[None]]
_log = structlog.get_logger(__name__)


class Watching:
    """Follows runs in the background. What it knows ends with the program: what must not be missed is a channel's (`notify`)."""

    def __init__(self, say: Say, clock: Callable[[], float]) -> None:
        self._say, self._clock = say, clock
        self._tasks: dict[tuple[str, str, str], asyncio.Task[None]] = {}

    def begin(self, client: ServerClient, sender: str, room: str, thread: str, run: RunView) -> None:
        """Tell in a room when a run has ended; once, also when somebody asks twice. Raises Refused for too many."""
        key = (sender, room, run.id)
        if key in self._tasks:
            return
        of_one = sum(known[0] == sender for known in self._tasks)
        if len(self._tasks) >= MOST or of_one >= MOST_OF_ONE:
            raise Refused(f"that is too much to watch: {MOST_OF_ONE} runs", hint="`notify on failed` tells of all runs")
        task = asyncio.get_running_loop().create_task(self._watch(client, room, thread, run))
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def idle(self) -> None:
        """Return when nothing is watched any more."""
        while tasks := list(self._tasks.values()):
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Stop."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, client: ServerClient, room: str, thread: str, run: RunView) -> None:
        latest, known = run, waiting(run)
        try:
            async with contextlib.aclosing(client.watch(run.id)) as updates:  # type: ignore[type-var]
                async for update in updates:
                    latest = update.run
                    if waiting(latest) - known:
                        break
            if latest.finished_at is None and not latest.interrupted and not waiting(latest) - known:
                message = runs.lost(latest, "its events ended before it did")
            else:
                message = runs.ended(latest, self._clock())
        except FlowError as error:
            message = runs.lost(latest, error.message)
        except Exception:  # noqa: BLE001 (as in Brain.handle)
            _log.exception("watching failed", run=run.id)
            message = runs.lost(latest, "a fault of mine")
        try:
            await self._say(room, thread, message)
        except Exception:  # noqa: BLE001 (of the network: nobody is there to be told)
            _log.exception("telling failed", run=run.id, room=room)


def waiting(run: RunView) -> frozenset[str]:
    """Return the steps of a run that wait for people."""
    return frozenset(step.key for step in run.steps if step.approve)
