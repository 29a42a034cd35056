"""Finding lines in a log: a text, or what looks like an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from flowbuild.logs.reader import LogReader

BUDGET = 32 << 20  # bytes that are looked through at once
_CONTROL = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")  # ECMA-48: colours and the like
_ERROR = re.compile(
    r"\b(?<!no )(?<!0 )(error|errors|fatal|failed|failure|exception|traceback|panic|panicked|segmentation fault)\b(?!s?[:=] ?0\b)"
)


@dataclass(frozen=True, slots=True)
class Found:
    """The numbers of lines that fit, in order. `next`: the line to go on from, None when the log was read to its end."""

    lines: tuple[int, ...]
    next: int | None


def search(
    reader: LogReader, text: str, *, line: int = 1, limit: int = 1000, services: Collection[str] | None = None
) -> Found:
    """Return up to `limit` lines from number `line` on that hold `text`, upper and lower case being the same.

    Without a text those that look like an error. Colours are passed over. Looks through a bounded part of the log.
    """
    fits = _fits(text)
    offset, last = reader.offset_of(line), reader.lines()
    stop = max(line + 1, reader.line_at(offset + BUDGET))
    found = list[int]()
    for piece in reader.read(offset, services=services, end=reader.offset_of(stop)):
        if len(found) == limit:
            return Found(tuple(found), piece.line)
        if (not found or found[-1] != piece.line) and fits(piece.data):
            found.append(piece.line)
    return Found(tuple(found), stop if stop <= last else None)


def plain(data: bytes) -> str:
    """Return output as text without colours."""
    return _CONTROL.sub(b"", data).decode("utf-8", "replace")


def _fits(text: str) -> Callable[[bytes], bool]:
    wanted = text.casefold()

    def fits(data: bytes) -> bool:
        folded = plain(data).casefold()
        return wanted in folded if wanted else _ERROR.search(folded) is not None

    return fits
