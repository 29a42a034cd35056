"""Makes messages fit for a network: as short as it takes them, and with nothing in what strangers wrote that acts. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from flowbuild.bot.messages import Block, Choices, Code, Message, Span, Table, Text, Tone, line
from flowbuild.core import visible

SIGNS = {Tone.PLAIN: "", Tone.GOOD: "✅", Tone.BAD: "❌", Tone.BROKEN: "⚠️", Tone.BUSY: "⏳", Tone.WAITS: "✋"}
TITLE = 300  # characters of a title; it is a line on a phone
JOINER = "\u2060"  # has no width and no meaning, and keeps networks from seeing a name or an address

_CALLS = re.compile(r"(?<![\w.])@(?=\w)|(?<=\w)://|(?<=\w)\.(?=[^\W\d_]{2})")  # @name, scheme://, example.org


def clean(text: str) -> str:
    """Return a text as one line of characters that have a face."""
    return visible.clean(text.replace("\n", " "))


def tame(text: str) -> str:
    """Return a line in which networks find no name to call and no address to lead to."""
    return _CALLS.sub(_broken, clean(text))


def _broken(match: re.Match[str]) -> str:
    return match[0][0] + JOINER + match[0][1:]


def columns(table: Table) -> list[str]:
    """Return the lines of a table in letters of one width."""
    rows = [[clean(cell) for cell in row] for row in (table.head, *table.rows)]
    widths = [max(len(row[at]) for row in rows if at < len(row)) for at in range(max(map(len, rows), default=0))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]


def titled(message: Message) -> str:
    """Return the title with the sign of its tone, in one line."""
    return f"{SIGNS[message.tone]} {tame(message.title)}".strip() or "…"


def fit(message: Message, size: Callable[[Message], int], most: int) -> Message:
    """Return a message, or its beginning, of which `size` is at most `most`; what is cut off says where the rest is."""
    if size(message) <= most:
        return message
    budget = min(most, sum(map(_length, message.blocks)))
    while size(cut := shortened(message, budget)) > most:
        if budget == 0:
            return Message(cut.title, cut.tone, url=cut.url)
        budget = budget * 3 // 4
    return cut


def shortened(message: Message, most: int) -> Message:
    """Return the message with a title of a line and at most `most` characters of blocks."""
    title = message.title if len(message.title) <= TITLE else message.title[: TITLE - 1] + "…"
    blocks: list[Block] = []
    for block in message.blocks:
        kept = _begin(block, most)
        if kept is not None:
            blocks.append(kept)
        if kept is not block:
            rest = Span("all of it", url=message.url) if message.url else Span("too long for a message")
            blocks.append(line("… cut here: ", rest))
            break
        most -= _length(block)
    return replace(message, title=title, blocks=tuple(blocks))


def _length(block: Block) -> int:
    match block:
        case Text(spans):
            return sum(len(span.text) for span in spans)
        case Code(lines):
            return sum(len(each) + 1 for each in lines)
        case Table():
            return sum(len(each) + 1 for each in columns(block))
        case Choices(items):
            return sum(len(each) + 4 for each in items)


def _begin(block: Block, most: int) -> Block | None:
    """Return as much of a block as has a length of at most `most`: itself, its beginning, or None."""
    if _length(block) <= most:
        return block
    match block:
        case Text(spans):
            return _spans(spans, most)
        case Code(lines, language):
            kept = _first(lines, most, 1)
            return Code(kept or [lines[0][: most - 1]], language) if kept or most > 1 else None
        case Table(head, rows):
            count = max(0, most // (1 + len(columns(block)[0])) - 1)
            return Table(head, rows[:count]) if count else None
        case Choices(items):
            return Choices(kept) if (kept := _first(items, most, 4)) else None


def _spans(spans: Sequence[Span], most: int) -> Text | None:
    kept: list[Span] = []
    for span in spans:
        if len(span.text) > most:
            kept += [replace(span, text=span.text[:most] + "…")] * (most > 0)
            break
        kept.append(span)
        most -= len(span.text)
    return Text(tuple(kept)) if kept else None


def _first(lines: Sequence[str], most: int, more: int) -> Sequence[str]:
    count = 0
    for each in lines:
        most -= len(each) + more
        if most < 0:
            break
        count += 1
    return lines[:count]
