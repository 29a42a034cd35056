"""The command core: what somebody said in, what is to be answered out. All networks, the terminal and tests talk to this."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass

import structlog

from flowbuild.bot.acting import perform
from flowbuild.bot.acting.errands import Errand, Place
from flowbuild.bot.actions import Action
from flowbuild.bot.adapters.base import Incoming
from flowbuild.bot.commands import parse
from flowbuild.bot.dialogue import SECONDS, Dialogue, Pending, Said, is_answer, understood
from flowbuild.bot.facts import Choose, Confirm, Fill, Watched
from flowbuild.bot.messages import Message, line
from flowbuild.bot.replies import ask, errors, reply
from flowbuild.bot.watching import Say, Watching
from flowbuild.bot.words import one_command, split
from flowbuild.client.base import ServerClient
from flowbuild.core.errors import FlowError

ClientFor = Callable[[str], ServerClient]
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said to a message. `understood`: it was a command that was done, or an answer; `problem`: why it was not done."""

    messages: Sequence[Message]
    understood: bool = True
    problem: FlowError | None = None


class Brain:
    """Understands commands and answers them, with the rights of who gives them.

    `client_for` returns the client of a sender; it is called for every message, so it is to be cheap (one pool of connections,
    another `Flow-Sender`). For "" it is the client of the bot itself, which exchanges codes of links and no more.
    `say(room, thread, message, key)` is how something is told that nobody is waiting for just now: the end of a run that
    somebody watches. It is never called before `handle` of that command has returned. An error of it is logged. What has the
    same key is the same, told again because nobody knows whether it was.
    `network`: the kind of the channels of this network ("matrix"); "" has none (a terminal), then there is no `notify` and no `link`.
    `rooms`: the default project of rooms by what the network calls them; a mapping that lasts lets them outlive the program.
    `watches`: who watches what; a mapping that lasts lets the next life of the program `resume` it.
    `clock`: seconds since 1970; questions are forgotten after a while.
    """

    def __init__(
        self,
        client_for: ClientFor,
        say: Say,
        *,
        network: str = "",
        rooms: MutableMapping[str, str] | None = None,
        watches: MutableMapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client_for = client_for
        self._network = network
        self._rooms = {} if rooms is None else rooms
        self._clock = clock
        self._dialogue = Dialogue()
        self._watching = Watching(say, clock, watches)

    async def handle(self, incoming: Incoming) -> Sequence[Message]:
        """Return what is to be answered, in this order, in the thread of `incoming` if it has one; mostly one message, never none.

        Never raises for what was said or what the server answers: errors are messages. `incoming.text` is what is meant for
        the bot: the adapter takes its name off. Messages of one sender in one room are to be given one after the other; others
        may be handled at the same time. May take as long as the server does (30 s for each request); it can be cancelled.
        """
        try:
            return (await self.answer(incoming)).messages
        except Exception:  # noqa: BLE001 (nobody in a chat is shown a traceback)
            number = _key(incoming)
            _log.exception("a fault of the bot", number=number)
            return [errors.fault(number)]

    def expects(self, room: str, sender: str) -> bool:
        """Tell whether the sender was asked something there: then what they say next is an answer, even without the bot's name."""
        return self._dialogue.pending(room, sender, self._clock()) is not None

    def resume(self) -> None:
        """Go on watching for those who asked an earlier life of the program."""
        self._watching.resume(self._client_for)

    async def idle(self) -> None:
        """Return when nobody watches anything any more."""
        await self._watching.idle()

    async def close(self) -> None:
        """Stop watching."""
        await self._watching.close()

    async def answer(self, incoming: Incoming) -> Answer:
        """Answer as `handle` does, saying also whether it was understood. Raises what is a fault of the bot."""
        try:
            return await self._answer(incoming)
        except FlowError as error:
            return Answer([errors.error(error, linkable=bool(self._network))], understood=False, problem=error)

    async def _answer(self, incoming: Incoming) -> Answer:
        text = one_command(incoming.text)
        pending = self._dialogue.pending(incoming.room, incoming.sender, self._clock())
        meaning = Said.OTHER if pending is None else understood(pending, text)
        if (pending is None and is_answer(text)) or meaning is Said.STALE:
            return Answer([errors.gone()], understood=False)
        if pending is not None and meaning is Said.UNCLEAR:
            return Answer([_again(pending)], understood=False)
        self._dialogue.drop(incoming.room, incoming.sender)
        if meaning is Said.DROP:
            return Answer([errors.dropped()])
        return Answer([await self._act(parse(split(text)) if isinstance(meaning, Said) else meaning, incoming)])

    async def _act(self, action: Action, incoming: Incoming) -> Message:
        errand = self._errand(incoming)
        outcome = await perform(action, errand)
        if isinstance(outcome, Choose | Fill | Confirm):
            pending = Pending(outcome, _key(incoming), self._clock() + SECONDS)
            self._dialogue.ask(incoming.room, incoming.sender, pending)
            return ask(outcome, pending.key)
        if isinstance(outcome, Watched):
            self._watching.begin(errand.client, incoming.sender, incoming.room, incoming.thread, outcome.run)
        return reply(outcome, self._clock())

    def _errand(self, incoming: Incoming) -> Errand:
        place = Place(
            incoming.room,
            incoming.sender,
            incoming.sender_name,
            incoming.direct,
            self._network,
            self._rooms.get(incoming.room, ""),
        )

        def use(project: str) -> None:
            self._rooms[incoming.room] = project

        return Errand(self._client_for(incoming.sender), place, lambda: self._client_for(""), use)


def _again(pending: Pending) -> Message:
    """Ask once more, of somebody who said something else."""
    asked = ask(pending.question, pending.key)
    first = line("That is no answer to this:")
    return Message(asked.title, asked.tone, asked.url, (first, *asked.blocks), asked.buttons)


def _key(incoming: Incoming) -> str:
    """Return what tells questions apart: it comes of the message that led to them, so nobody can foresee or repeat it."""
    told = f"{incoming.id}\0{incoming.room}\0{incoming.sender}".encode("utf-8", "replace")
    return hashlib.sha256(told).hexdigest()[:6]
