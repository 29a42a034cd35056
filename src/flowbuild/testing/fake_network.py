"""A chat network in memory: what is said to the bot is put in, what it says is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from flowbuild.bot.adapters.base import Incoming
from flowbuild.bot.messages import Message
from flowbuild.core.errors import ChatError


@dataclass(frozen=True, slots=True)
class Said:
    """Something that the bot said, or put in the place of what it had said (`edited`: of what)."""

    room: str
    title: str
    key: str
    thread: str = ""
    edited: str = ""
    mention: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


@dataclass(slots=True)
class FakeNetwork:
    """See Adapter. The next calls raise what is in `errors`, by the order; None: this one works."""

    network: str = "matrix"
    listening: asyncio.Event = field(default_factory=asyncio.Event)
    heard: asyncio.Queue[Incoming | ChatError] = field(default_factory=asyncio.Queue)
    errors: list[ChatError | None] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    closed: bool = False
    _names: dict[str, str] = field(default_factory=dict)

    async def incoming(self) -> AsyncIterator[Incoming]:
        """See Adapter."""
        self.listening.set()
        while True:
            heard = await self.heard.get()
            if isinstance(heard, ChatError):
                raise heard
            yield heard

    async def send(self, room: str, message: Message, *, key: str, thread: str = "") -> str:
        """See Adapter."""
        if key not in self._names:
            self._fail()
            self.said.append(_said(room, message, key, thread=thread))
            self._names[key] = f"m{len(self._names)}"
        return self._names[key]

    async def edit(self, room: str, remote: str, message: Message, *, key: str) -> None:
        """See Adapter."""
        if key not in self._names:
            self._fail()
            self.said.append(_said(room, message, key, edited=remote))
            self._names[key] = remote

    async def direct_room(self, sender: str) -> str:
        """See Adapter."""
        return f"direct-{sender}"

    async def close(self) -> None:
        """See Adapter."""
        self.closed = True

    def _fail(self) -> None:
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error


def _said(room: str, message: Message, key: str, *, thread: str = "", edited: str = "") -> Said:
    texts = tuple(repr(block) for block in message.blocks)
    return Said(room, message.title, key, thread, edited, tuple(message.mention), texts)
