"""What a command is, and what the readers of commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flowbuild.bot.actions import Action
from flowbuild.bot.words import Refused, Word, Words, brief


@dataclass(frozen=True, slots=True)
class Command:
    """A command. `asks`: what it would do is said first, and it does it after a yes. `examples` are for people."""

    name: str
    usage: str
    summary: str
    read: Callable[[Reader], Action]
    aliases: Sequence[str] = ()
    asks: str = ""  # "" never, "always", or when
    examples: Sequence[str] = ()

    def parse(self, words: Words) -> Action:
        """Return the action; raises Refused."""
        return self.read(Reader(self, words))


class Reader:
    """Takes the words of a command one after the other; what cannot be taken is refused with the usage of the command."""

    def __init__(self, command: Command, words: Words) -> None:
        self._command, self._words, self._at = command, words, 1

    def refused(self, message: str) -> Refused:
        """Return the refusal of what was typed."""
        return Refused(message, hint=f"usage: {self._command.usage}")

    def more(self) -> bool:
        """Tell whether there is a word left."""
        return self._at < len(self._words.items)

    def peek(self) -> str:
        """Return the next word in small letters, "" when there is none or it is quoted."""
        word = self._words.items[self._at] if self.more() else Word("", quoted=True)
        return "" if word.quoted else word.text.lower()

    def skip(self) -> None:
        """Pass over a word."""
        self._at += 1

    def take(self, what: str) -> str:
        """Return the next word; raises Refused when there is none or it is empty."""
        word = self.maybe()
        if not word:
            raise self.refused(f"{self._command.name}: {what}?")
        return word

    def maybe(self) -> str:
        """Return the next word, "" when there is none."""
        if not self.more():
            return ""
        word = self._words.items[self._at]
        self._at += 1
        return word.text

    def rest(self) -> str:
        """Return all that is left, as it was typed."""
        text = self._words.rest(self._at)
        self._at = len(self._words.items)
        return text

    def words(self) -> list[Word]:
        """Return the words that are left."""
        items = list(self._words.items[self._at :])
        self._at = len(self._words.items)
        return items

    def number(self, text: str, most: int) -> int:
        """Return a number from 1 to `most`; raises Refused."""
        if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= most):
            raise self.refused(f"{brief(text, 40)!r} is not a number from 1 to {most}")
        return int(text)

    def end(self) -> None:
        """Raise Refused when there are words left."""
        if self.more():
            raise self.refused(f"{self._command.name} takes no {brief(self.rest(), 40)!r}")
