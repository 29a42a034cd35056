"""The lines of a log that say why a step failed, for those who cannot look at all of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flowbuild.logs.reader import LogReader
from flowbuild.logs.search import BUDGET, plain, search

MOST = 20  # lines
LONGEST = 400  # characters of a line; what is longer is cut
FOLLOWING = 2  # lines after one that looks like an error: most often they say more about it


def chosen(errors: Iterable[int], last: int, most: int = MOST) -> Sequence[int]:
    """Return the numbers of the lines that say why, in order: those that look like errors and what follows each.

    Where none does, the last ones. `last`: how many lines there are.
    """
    found: dict[int, None] = {}
    for error in errors:
        found |= dict.fromkeys(range(error, min(error + FOLLOWING, last) + 1))
    return sorted(found)[:most] if found else range(max(1, last - most + 1), last + 1)


def reasons(reader: LogReader, most: int = MOST) -> list[str]:
    """Return the text of these lines, without colours. Of a large log its beginning and its end are looked at."""
    last = reader.lines()
    found = search(reader, "", limit=most)
    if not found.lines and found.next is not None:
        whole = reader.line_at(reader.size() - BUDGET) + 1  # the first line of which all is within the budget
        found = search(reader, "", line=max(found.next, whole), limit=most)
    numbers = chosen(found.lines, last, most)
    return [text for number in numbers for text in _text(reader, number)]


def _text(reader: LogReader, number: int) -> list[str]:
    pieces = reader.read(reader.offset_of(number), end=reader.offset_of(number + 1))
    text = plain(b"".join(piece.data for piece in pieces)).rstrip()
    shown = "".join(char if char.isprintable() or char == "\t" else "\ufffd" for char in text)
    return [shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"] if shown else []
