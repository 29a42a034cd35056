"""Talking to the command core in a terminal, or from a script: one line is one command."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import sys
import termios
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TextIO

from rich.console import Console

from flowbuild.bot.adapters.base import Incoming
from flowbuild.bot.brain import Brain
from flowbuild.bot.messages import Message, Tone
from flowbuild.bot.printing import console_of, print_message
from flowbuild.client.base import ServerClient
from flowbuild.core.errors import SystemFailed

ROOM, SENDER, PROMPT = "terminal", "", "flow> "
LEAVE = ("exit", "quit", "bye")
_CODES = {Tone.BAD: 1, Tone.BROKEN: 3}  # of a run that was watched


async def talk(
    client: ServerClient, project: str, *, source: TextIO | None = None, console: Console | None = None
) -> int:
    """Answer line after line until there is none; return the exit code.

    On a terminal that is 0. Of a script it is 2 or 3 when a line was refused or the server did not work, and nothing after
    that line is done; else 1 or 3 when the run that was watched last failed or errored. There `watch` waits for the end.
    """
    source = sys.stdin if source is None else source
    conversation = _Conversation(client, project, console or console_of(sys.stdout), live=source.isatty())
    try:
        async with aclosing(_typed() if source.isatty() else _piped(source)) as lines:
            async for text in lines:
                if text.strip().lower() in LEAVE:
                    break
                if text.strip() and not await conversation.say(text):
                    break
        return 0 if source.isatty() else conversation.code
    finally:
        await conversation.brain.close()


class _Conversation:
    """What was said so far; `code`: the exit code that it leads to."""

    def __init__(self, client: ServerClient, project: str, console: Console, *, live: bool) -> None:
        rooms = {ROOM: project} if project else {}
        self.brain = Brain(lambda _: client, self._told, rooms=rooms)
        self.code = 0
        self._console, self._live = console, live
        self._ids = (f"{secrets.token_hex(8)}-{number}" for number in itertools.count())

    async def say(self, text: str) -> bool:
        """Answer a line; return whether a script may go on."""
        if not self._live:
            print_line(self._console, text)
        answer = await self.brain.answer(Incoming(next(self._ids), SENDER, ROOM, text, direct=True))
        for message in answer.messages:
            print_message(self._console, message)
        if self._live:
            return True
        if not answer.understood:
            self.code = 3 if isinstance(answer.problem, SystemFailed) else 2
            return False
        await self.brain.idle()
        return True

    async def _told(self, room: str, thread: str, message: Message, key: str) -> None:
        del room, thread, key
        if self._live:
            self._console.print()
        print_message(self._console, message)
        self.code = _CODES.get(message.tone, 0)


def print_line(console: Console, text: str) -> None:
    """Print what was said, so that the output of a script reads as the conversation that it was."""
    console.print(f"{PROMPT}{text.rstrip()}", style="dim", soft_wrap=True)


async def _typed() -> AsyncGenerator[str, None]:
    """Yield what is typed. It is read in a thread of its own that nobody waits for: runs that are watched end meanwhile."""
    import readline  # noqa: F401, PLC0415 (arrows and history in what `input` reads)

    loop, as_it_was = asyncio.get_running_loop(), termios.tcgetattr(sys.stdin)
    try:
        while True:
            line = loop.create_future()
            threading.Thread(target=_read, args=(loop, line), daemon=True).start()
            text = await line
            if text is None:
                return
            yield text
    finally:  # who reads a line is stopped in the middle of it
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, as_it_was)


def _read(loop: asyncio.AbstractEventLoop, line: asyncio.Future[str | None]) -> None:
    try:
        text = input(PROMPT)
    except (EOFError, OSError, UnicodeDecodeError):
        text = None
    with contextlib.suppress(RuntimeError):  # the loop is closed: the conversation was broken off
        loop.call_soon_threadsafe(_settle, line, text)


def _settle(line: asyncio.Future[str | None], text: str | None) -> None:
    if not line.done():
        line.set_result(text)


async def _piped(source: TextIO) -> AsyncGenerator[str, None]:
    """Yield the lines of a script; the next one is read when the one before was answered."""
    while line := await asyncio.to_thread(source.readline):
        yield line
