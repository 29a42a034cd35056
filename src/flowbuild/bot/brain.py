"""The command core: what somebody said in, what is to be answered out. All networks, the terminal and tests talk to this."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence

from flowbuild.bot.adapters.base import Incoming
from flowbuild.bot.messages import Message
from flowbuild.client.base import ServerClient

ClientFor = Callable[[str], ServerClient]
Say = Callable[[str, str, Message], Awaitable[None]]


class Brain:
    """Understands commands and answers them, with the rights of who gives them.

    `client_for` returns the client of a sender; it is called for every message, so it is to be cheap (one pool of connections,
    another `Flow-Sender`). For "" it is the client of the bot itself, which exchanges codes of links and no more.
    `say(room, thread, message)` is how something is told that nobody is waiting for just now: the end of a run that
    somebody watches. It is never called before the message with that command is answered. An error of it is logged.
    `network`: the kind of the channels of this network ("matrix"); "" has none (a terminal), then there is no `notify` and no `link`.
    `rooms`: the default project of rooms by what the network calls them; a mapping that lasts lets them outlive the program.
    `clock`: seconds since 1970; questions are forgotten after a while.
    """

    def __init__(
        self,
        client_for: ClientFor,
        say: Say,
        *,
        network: str = "",
        rooms: MutableMapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        raise NotImplementedError

    async def handle(self, incoming: Incoming) -> Sequence[Message]:
        """Return what is to be answered, in this order, in the thread of `incoming` if it has one; mostly one message, never none.

        Never raises for what was said or what the server answers: errors are messages. `incoming.text` is what is meant for
        the bot: the adapter takes its name off. Messages of one sender in one room are to be given one after the other; others
        may be handled at the same time. May take as long as the server does (30 s for each request); it can be cancelled.
        """
        raise NotImplementedError

    def expects(self, room: str, sender: str) -> bool:
        """Tell whether the sender was asked something there: then what they say next is an answer, even without the bot's name."""
        raise NotImplementedError

    async def close(self) -> None:
        """Forget who watches what."""
        raise NotImplementedError
