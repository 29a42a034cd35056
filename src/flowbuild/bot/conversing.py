"""What people say to the bot, on its way to the command core, and the answers on their way back.

Each message is written down before anything is done about it, and again before it is done: so a program that is killed forgets
none, and does none twice. What was being done when it died it tells, because nobody but the person can judge what came of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace

import structlog

from flowbuild.bot.adapters.base import Adapter, Incoming
from flowbuild.bot.brain import Brain
from flowbuild.bot.memory import Memory
from flowbuild.bot.messages import Message, Span, Tone, line
from flowbuild.bot.patient import patiently
from flowbuild.core.errors import ChatError

log = structlog.get_logger()
AT_ONCE = 64  # messages that are worked on; further ones wait where they are
LAST_SECONDS = 10.0  # for answers, when the program is told to end
DONE = "done"


class Conversations:
    """Answers everybody: one after the other in each room, and many rooms at a time."""

    def __init__(self, adapter: Adapter, brain: Brain, memory: Memory) -> None:
        self._adapter, self._brain = adapter, brain
        self._inbox = memory.table("inbox")
        self._turns: dict[tuple[str, str], asyncio.Lock] = {}
        self._room = asyncio.Semaphore(AT_ONCE)
        self._working: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Answer until cancelled. Raises ChatError when the network does not let the bot in."""
        try:
            left = [json.loads(each) for each in self._inbox.values() if each != DONE]
            for state in sorted(left, key=lambda each: not each["begun"]):  # what was begun came first
                incoming = Incoming(**state["incoming"])
                await self._begin(incoming, (_interrupted(incoming),) if state["begun"] else None)
            async for incoming in self._adapter.incoming():
                if incoming.id not in self._inbox:
                    self._note(incoming, begun=False)
                    await self._begin(incoming)
        finally:
            await self._end()

    async def say(self, room: str, thread: str, message: Message, key: str) -> None:
        """Tell something that nobody is waiting for just now; under the same key it is told once. Raises ChatError."""
        await patiently(lambda: self._adapter.send(room, message, key=key, thread=thread))

    async def _begin(self, incoming: Incoming, answers: Sequence[Message] | None = None) -> None:
        await self._room.acquire()
        task = asyncio.create_task(self._answer(incoming, answers))
        self._working.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        self._room.release()
        if not task.cancelled() and task.exception() is not None:
            log.error("a message was not answered", exc_info=task.exception())

    async def _answer(self, incoming: Incoming, answers: Sequence[Message] | None) -> None:
        """Answer a message, in its thread; in rooms of many it is the beginning of one."""
        turn = self._turns.setdefault((incoming.room, incoming.sender), asyncio.Lock())
        async with turn:
            thread = incoming.thread or ("" if incoming.direct else incoming.id)
            if answers is None:
                self._note(incoming, begun=True)
                answers = await self._brain.handle(replace(incoming, thread=thread))
            log.info("asked", room=incoming.room, sender=incoming.sender, answers=[each.title[:80] for each in answers])
            for number, message in enumerate(answers):
                await self._send(incoming.room, thread, message, _key(incoming, number))
            self._inbox[incoming.id] = DONE

    async def _send(self, room: str, thread: str, message: Message, key: str) -> None:
        try:
            await patiently(lambda: self._adapter.send(room, message, key=key, thread=thread))
        except ChatError as error:
            log.warning("an answer was refused", room=room, error=error.message, hint=error.hint)

    def _note(self, incoming: Incoming, *, begun: bool) -> None:
        self._inbox[incoming.id] = json.dumps({"incoming": asdict(incoming), "begun": begun})

    async def _end(self) -> None:
        """Let what is nearly done be done."""
        if self._working:
            await asyncio.wait(self._working, timeout=LAST_SECONDS)
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)


def _key(incoming: Incoming, number: int) -> str:
    return hashlib.sha256(f"{incoming.room}\0{incoming.id}\0{number}".encode()).hexdigest()[:32]


def _interrupted(incoming: Incoming) -> Message:
    """Say what nobody knows for sure: whether it happened."""
    begun = line("I was stopped while I worked on ", Span(incoming.text[:200], code=True), ".")
    return Message(
        "Please look whether that happened", Tone.BROKEN, blocks=(begun, line("If it did not, say it again."))
    )
