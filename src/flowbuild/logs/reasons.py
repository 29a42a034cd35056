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
    return [text for number in chosen(found.lines, last, most) for text in _text(reader, number)][:most]


def _text(reader: LogReader, number: int) -> list[str]:
    """Return what a piece of output shows: of a line that was written over, as bars of progress are, what stood there last."""
    pieces = reader.read(reader.offset_of(number), end=reader.offset_of(number + 1))
    written = plain(b"".join(piece.data for piece in pieces)).split("\n")
    return [_shown(text) for line in written if (text := line.rstrip().rpartition("\r")[2])]


def _shown(text: str) -> str:
    harmless = "".join(char if char.isprintable() or char == "\t" else "\ufffd" for char in text)
    return harmless if len(harmless) <= LONGEST else f"{harmless[: LONGEST - 1]}…"
