"""A bot: what people say goes to the command core, what the server wants them to be told goes to them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from flowbuild.bot.adapters.base import Adapter
from flowbuild.bot.brain import Brain
from flowbuild.bot.conversing import Conversations
from flowbuild.bot.memory import Memory
from flowbuild.bot.messages import Message
from flowbuild.bot.telling import Telling
from flowbuild.client.base import ServerClient

log = structlog.get_logger()
Connect = Callable[[Memory, Callable[[str, str], bool]], Adapter]


async def run_bot(
    memory: Memory, connect: Connect, client_for: Callable[[str], ServerClient], *, listens: Callable[[], None]
) -> None:
    """Be a bot until cancelled; `listens` is called once it hears people.

    `connect` makes the adapter, given who is expected to answer without naming the bot. Raises ChatError when the network does not
    let the bot in, Unauthenticated or Forbidden when the server does not.
    """

    async def say(room: str, thread: str, message: Message, key: str) -> None:
        await conversations.say(room, thread, message, key)

    def expects(room: str, sender: str) -> bool:
        return brain.expects(room, sender)

    adapter = connect(memory, expects)
    rooms, watches = memory.table("rooms"), memory.table("watches")
    brain = Brain(client_for, say, network=adapter.network, rooms=rooms, watches=watches)
    conversations, telling = Conversations(adapter, brain, memory), Telling(client_for(""), adapter)

    async def announce() -> None:
        await adapter.listening.wait()
        listens()
        await telling.introduce(adapter.called)

    brain.resume()
    working = [asyncio.create_task(each) for each in (conversations.run(), telling.run(), announce())]
    try:
        pending = set(working)
        while len(pending) > 0:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        with contextlib.suppress(Exception):
            await brain.close()
        await adapter.close()
