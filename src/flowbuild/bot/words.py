"""What people type, taken apart: words, quotes, NAME=VALUE. Pure; whatever is typed becomes words or a Refused that says why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flowbuild.core.errors import InvalidRequest
from flowbuild.core.visible import clean

MAX_TEXT = 4000  # characters of a message that are looked at
MAX_WORDS = 200
QUOTES = {'"': '"', "'": "'", "`": "`", "“": "”", "„": "“", "‘": "’", "«": "»", "»": "«"}  # noqa: RUF001 (what phones make of quotes)
_NAME = re.compile(r"[^\s=\"'`]+=")


class Refused(InvalidRequest):
    """What was said cannot be done as it was said. The hint says what is possible."""

    code = "refused"


@dataclass(frozen=True, slots=True)
class Word:
    """A word without its quotes. Of NAME=VALUE `name` and `value` are set. `begin`: where in the text it begins."""

    text: str
    begin: int = 0
    name: str = ""
    value: str = ""
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """A command and what belongs to it."""

    raw: str
    items: Sequence[Word]

    @property
    def first(self) -> str:
        """Return the first word as commands are looked up, "" when there is none or it is quoted."""
        return "" if not self.items or self.items[0].quoted else self.items[0].text.lower()

    def rest(self, number: int) -> str:
        """Return all from a word on, as it was typed; one that is all in one pair of quotes without them."""
        if number >= len(self.items):
            return ""
        word = self.items[number]
        return word.text if number == len(self.items) - 1 else self.raw[word.begin :].strip()


def one_command(text: str) -> str:
    """Return the line of a message that is meant, as plain text; raises Refused for one that is too long or holds several.

    Lines that quote somebody (">") are left out. What has no face (control characters, marks of direction) is dropped: it could
    not be seen in what is asked back.
    """
    if len(text) > MAX_TEXT:
        raise Refused(
            f"that is {len(text)} characters; I read messages of up to {MAX_TEXT}", hint="one command, on one line"
        )
    lines = [line for each in text.splitlines() if (line := visible(each).strip()) and not line.startswith(">")]
    if len(lines) > 1:
        raise Refused(f"that is {len(lines)} lines, and I do one thing at a time", hint="one command, on one line")
    return lines[0] if lines else ""


def split(line: str) -> Words:
    """Return the words of a line. A quote without an end is a letter like others: people write don't."""
    line = line.removeprefix("/").removeprefix("!") if line[1:2].isalpha() else line
    items: list[Word] = []
    for word in _words(line):
        if len(items) == MAX_WORDS:
            raise Refused(f"that is more than {MAX_WORDS} words", hint="one command, on one line")
        items.append(word)
    return Words(line, items)


def visible(text: str) -> str:
    """Return the characters that can be seen; every kind of space is a plain one."""
    return "".join(" " if char.isspace() else char for char in text if char.isprintable() or char.isspace())


def brief(text: str, most: int = 120) -> str:
    """Return one line of text from elsewhere (branches, subjects, messages), safe to show and not longer than `most`."""
    line = visible(clean(" ".join(text[: 4 * most].split())))
    return line if len(line) <= most else f"{line[: most - 1]}…"


def log_line(text: str, most: int = 300) -> str:
    """Return a line of a log, safe to show, with its indentation, not longer than `most`."""
    line = visible(clean(text[: 4 * most].rstrip()))
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _words(line: str) -> Iterator[Word]:
    at = 0
    while at < len(line):
        if line[at].isspace():
            at += 1
            continue
        begin, named = at, _NAME.match(line, at)
        name = named[0][:-1] if named else ""
        at = named.end() if named else at
        value, at, quoted = _value(line, at)
        yield Word(f"{name}={value}" if name else value, begin, name, value if name else "", quoted and not name)


def _value(line: str, at: int) -> tuple[str, int, bool]:
    """Return a piece of text up to a space, where it ends, and whether it was in quotes."""
    if at < len(line) and (end := _closing(line, at)) > 0:
        more, at_end, _ = _plain(line, end + 1)
        return line[at + 1 : end] + more, at_end, True
    return _plain(line, at)


def _plain(line: str, at: int) -> tuple[str, int, bool]:
    end = at
    while end < len(line) and not line[end].isspace():
        end += 1
    return line[at:end], end, False


def _closing(line: str, at: int) -> int:
    """Return where the quote that begins there ends, -1 when none does."""
    close = QUOTES.get(line[at])
    return -1 if close is None else line.find(close, at + 1)
