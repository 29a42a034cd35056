"""Telling those who watch a run, once: how it ended, or that it waits for an approval, for nothing goes on without them then."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import asdict, dataclass

import structlog

from flowbuild.bot.adapters.pauses import Pauses
from flowbuild.bot.messages import Message
from flowbuild.bot.replies import parts, runs
from flowbuild.bot.words import Refused
from flowbuild.client.base import RunView, ServerClient
from flowbuild.core.errors import FlowError, UserError

MOST, MOST_OF_ONE = 500, 10
Say = Callable[[str, str, Message, str], Awaitable[None]]
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is to be told of a run (its id), and where. `known`: steps that waited for people already; `begun`: seconds since 1970."""

    sender: str
    room: str
    thread: str
    run: str
    title: str
    ref: str
    known: Sequence[str]
    begun: float

    @property
    def key(self) -> str:
        """Return what is the same when the same person asks for the same there."""
        return json.dumps([self.sender, self.room, self.run])


class Watching:
    """Follows runs in the background. `kept`: what lasts longer than the program; then it also waits for a server that is away."""

    def __init__(self, say: Say, clock: Callable[[], float], kept: MutableMapping[str, str] | None = None) -> None:
        self._say, self._clock = say, clock
        self._kept, self._patient = {} if kept is None else kept, kept is not None
        self._tasks: dict[str, tuple[Watch, asyncio.Task[None]]] = {}

    def begin(self, client: ServerClient, sender: str, room: str, thread: str, run: RunView) -> None:
        """Tell in a room when a run has ended; once, also when somebody asks twice. Raises Refused for too many."""
        known = sorted(waiting(run))
        watch = Watch(sender, room, thread, run.id, parts.title(run), parts.ref(run), known, self._clock())
        if watch.key in self._tasks:
            return
        of_one = sum(other.sender == sender for other, _ in self._tasks.values())
        if len(self._tasks) >= MOST or of_one >= MOST_OF_ONE:
            raise Refused(f"that is too much to watch: {MOST_OF_ONE} runs", hint="`notify on failed` tells of all runs")
        self._kept[watch.key] = json.dumps(asdict(watch))
        self._follow(client, watch)

    def resume(self, client_for: Callable[[str], ServerClient]) -> None:
        """Go on with what an earlier life of the program has not told."""
        for text in list(self._kept.values()):
            watch = Watch(**json.loads(text))
            self._follow(client_for(watch.sender), watch)

    async def idle(self) -> None:
        """Return when nothing is watched any more."""
        while tasks := [task for _, task in self._tasks.values()]:
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Stop; what is kept is for the next life."""
        tasks = [task for _, task in self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _follow(self, client: ServerClient, watch: Watch) -> None:
        task = asyncio.get_running_loop().create_task(self._watch(client, watch))
        self._tasks[watch.key] = watch, task
        task.add_done_callback(lambda _: self._tasks.pop(watch.key, None))

    async def _watch(self, client: ServerClient, watch: Watch) -> None:
        message = await self._message(client, watch)
        told = hashlib.sha256(f"{watch.key}\0{watch.begun}".encode()).hexdigest()[:32]
        try:
            await self._say(watch.room, watch.thread, message, told)
        except Exception:  # noqa: BLE001 (of the network, and for good: it is not tried in the next life either)
            _log.exception("telling failed", run=watch.run, room=watch.room)
        self._kept.pop(watch.key, None)

    async def _message(self, client: ServerClient, watch: Watch) -> Message:
        """Return what there is to tell, as soon as there is something."""
        pauses = Pauses()
        while True:
            try:
                return await self._end(client, watch)
            except FlowError as error:
                if not self._patient or isinstance(error, UserError):
                    return runs.lost(watch.title, watch.ref, error.message)
                pause = pauses.next()
                _log.warning("the server is away", run=watch.run, error=error.message, again_in=round(pause, 1))
                await asyncio.sleep(pause)
            except Exception:  # noqa: BLE001 (as in Brain.handle)
                _log.exception("watching failed", run=watch.run)
                return runs.lost(watch.title, watch.ref, "a fault of mine")

    async def _end(self, client: ServerClient, watch: Watch) -> Message:
        latest: RunView | None = None
        async with contextlib.aclosing(client.watch(watch.run)) as updates:  # type: ignore[type-var]
            async for update in updates:
                latest = update.run
                if waiting(latest) - set(watch.known):
                    break
        if latest is None or not (_over(latest) or waiting(latest) - set(watch.known)):
            return runs.lost(watch.title, watch.ref, "its events ended before it did")
        return runs.ended(latest, self._clock())


def _over(run: RunView) -> bool:
    return run.finished_at is not None or run.interrupted


def waiting(run: RunView) -> frozenset[str]:
    """Return the steps of a run that wait for people."""
    return frozenset(step.key for step in run.steps if step.approve)
