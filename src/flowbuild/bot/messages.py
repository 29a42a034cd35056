"""What bots say, without the words of any network: adapters put it into the form of theirs, as rich as it can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Tone(StrEnum):
    """What a message is like at a glance; networks without colours show a sign."""

    PLAIN = "plain"
    GOOD = "good"
    BAD = "bad"  # a step failed: the pipeline's fault
    BROKEN = "broken"  # errored: ours
    BUSY = "busy"
    WAITS = "waits"  # for people


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a line of text. `url`: where it leads; `code`: what people type or machines say."""

    text: str
    url: str = ""
    code: bool = False
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """A line."""

    spans: Sequence[Span]


@dataclass(frozen=True, slots=True)
class Code:
    """Lines of a log, or of a diff: shown as they are, in letters of one width. `language`: "", "diff"."""

    lines: Sequence[str]
    language: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of short cells; networks without tables align them in letters of one width."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Choices:
    """What one can answer with a number, from 1."""

    items: Sequence[str]


Block = Text | Code | Table | Choices


@dataclass(frozen=True, slots=True)
class Button:
    """Says `command` when it is pressed, in the name of who presses it. Networks without buttons show the command.

    An `answer` to the question of its message they leave out: the message says in words what to say instead.
    """

    label: str
    command: str
    danger: bool = False
    answer: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """Something to say. `title` is a line by itself; what is before the blocks must do as a notification on a phone.

    `mention`: those who are called by name, as the network calls them.
    """

    title: str
    tone: Tone = Tone.PLAIN
    url: str = ""  # where the title leads
    blocks: Sequence[Block] = ()
    buttons: Sequence[Button] = ()
    mention: Sequence[str] = field(default=())


def line(*parts: str | Span) -> Text:
    """Return a line of plain text and spans."""
    return Text(tuple(part if isinstance(part, Span) else Span(part) for part in parts))
