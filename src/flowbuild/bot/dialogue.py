"""What the bot asked, of whom and where, and what an answer means. Pure but for what it remembers."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from enum import Enum, auto

from flowbuild.bot.actions import Action
from flowbuild.bot.commands import named
from flowbuild.bot.facts import Choose, Confirm, Fill, Question
from flowbuild.bot.words import split
from flowbuild.core.model import InputType

SECONDS = 600.0  # for which a question stands
MOST = 10_000  # questions that stand; then the oldest is forgotten
YES = frozenset({"yes", "y", "yeah", "yep", "sure", "ok", "do it"})
NO = frozenset({"no", "n", "nope", "cancel", "never mind", "nevermind", "stop", "abort", "forget it"})


class Said(Enum):
    """Answers that are no actions."""

    DROP = auto()  # never mind
    OTHER = auto()  # another command
    UNCLEAR = auto()  # neither an answer nor a command
    STALE = auto()  # a button of another question


@dataclass(frozen=True, slots=True)
class Pending:
    """A question that stands until `until`, in seconds since 1970. `key`: what its buttons say, so that they are only its own."""

    question: Question
    key: str
    until: float


class Dialogue:
    """Remembers the last question to each sender in each room."""

    def __init__(self) -> None:
        self._standing: OrderedDict[tuple[str, str], Pending] = OrderedDict()

    def __len__(self) -> int:
        """Return how many questions stand."""
        return len(self._standing)

    def ask(self, room: str, sender: str, pending: Pending) -> None:
        """Remember a question, in the place of the one before."""
        self._standing.pop((room, sender), None)
        self._standing[room, sender] = pending
        while len(self._standing) > MOST:
            self._standing.popitem(last=False)

    def pending(self, room: str, sender: str, now: float) -> Pending | None:
        """Return the question that stands."""
        found = self._standing.get((room, sender))
        if found is not None and found.until <= now:
            self.drop(room, sender)
            return None
        return found

    def drop(self, room: str, sender: str) -> None:
        """Forget it."""
        self._standing.pop((room, sender), None)


def is_answer(line: str) -> bool:
    """Tell whether a line can be nothing but an answer: yes, no, a number, the button of a question."""
    word, _, key = line.strip().lower().rstrip(".!").partition(" ")
    return word.isdigit() or line.strip().lower().rstrip(".!") in YES | NO or (word in ("yes", "no") and len(key) == 6)


def understood(pending: Pending, line: str) -> Action | Said:
    """Return what a line means as the answer to a question."""
    said = line.strip().lower().rstrip(".!")
    word, _, key = said.partition(" ")
    if word in ("yes", "no") and len(key) == 6:  # a button
        if key != pending.key:
            return Said.STALE
        said = word
    if said in NO:
        return Said.DROP
    match pending.question:
        case Confirm(action=action):
            return action if said in YES else _other(line)
        case Choose() as question:
            return _chosen(question, line)
        case Fill() as question:
            return _filled(question, line)


def _other(line: str) -> Said:
    words = split(line)
    return Said.OTHER if named(words.first) else Said.UNCLEAR


def _chosen(question: Choose, line: str) -> Action | Said:
    text = line.strip().rstrip(".!")
    for option in question.options:
        if text == option.label:
            return option.action
    number = _number(text, len(question.options))
    return question.options[number - 1].action if number else _other(line)


def _filled(question: Fill, line: str) -> Action | Said:
    """Return the action with the value. What is the name of a command is one, unless it is in quotes."""
    words = split(line)
    if named(words.first):
        return Said.OTHER
    value = words.rest(0)
    options = question.input.options if question.input.type is InputType.CHOICE else ()
    if value not in options and (number := _number(value, len(options))):
        value = options[number - 1]
    if not value:
        return Said.UNCLEAR
    return replace(question.action, inputs={**question.action.inputs, question.input.name: value})


def _number(text: str, most: int) -> int:
    """Return a number from 1 to `most`, 0 for what is none."""
    text = text.removeprefix("#")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    return number if number <= most else 0
