"""What a chat network is to the bot. An adapter translates, keeps to the limits of its network, and reconnects; no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from flowbuild.bot.messages import Message


@dataclass(frozen=True, slots=True)
class Incoming:
    """Something somebody said to the bot, or a button that was pressed (then `text` is its command).

    `sender` and `room` are what the network calls them for ever, not their names. `direct`: nobody else reads there.
    `thread`: the message it belongs to, to answer there; "" none. `id`: the network's, the same when it comes again.
    """

    id: str
    sender: str
    room: str
    text: str
    direct: bool
    thread: str = ""
    sender_name: str = ""


class Adapter(Protocol):
    """A network. Everything raises ChatError: `lasting` when trying again is of no use, `again_after` seconds else."""

    network: str  # matrix, slack, telegram
    called: str  # by what name people find the bot there; "" until it listens
    listening: asyncio.Event  # set once it hears what is said: from then on nothing is missed, over its end neither

    def incoming(self) -> AsyncIterator[Incoming]:
        """Yield what is said to the bot, for ever; connects again by itself, and skips what it has yielded before."""
        ...

    async def send(self, room: str, message: Message, *, key: str, thread: str = "") -> str:
        """Say something; return what the network calls it.

        `key` is unique to what is said: said twice with the same key it appears once, as far as the network can tell.
        """
        ...

    async def edit(self, room: str, remote: str, message: Message, *, key: str) -> None:
        """Put something in the place of what was said."""
        ...

    async def direct_room(self, sender: str) -> str:
        """Return the room in which nobody but somebody and the bot reads; makes it when there is none."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...
