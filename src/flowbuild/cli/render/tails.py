"""The last lines of every step's output, as they come in; memory does not grow with the log."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from flowbuild.cli.render.text import LineSplitter, clean
from flowbuild.client.base import LogChunk

KEPT = 25  # lines of a step, shown when it failed

_BAD_NEWS = re.compile(
    r"\b(error|errors|fatal|failed|failure|exception|traceback|panic|panicked|denied|not found|cannot|refused)\b|(?-i:[A-Z]\w*Error)\b",
    re.IGNORECASE,
)
_GOOD_NEWS = re.compile(r"\b(0|no|without) (errors?|failures?|failed)\b|\berrors?[:=] ?0\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of output, not made safe yet; service "" is the product speaking."""

    service: str
    text: str


class Tails:
    """Splits output into lines and keeps the last ones of each step's latest attempt."""

    def __init__(self) -> None:
        self._splitters: dict[tuple[str, int, str, str], LineSplitter] = {}
        self._lines: dict[str, deque[Line]] = {}
        self._attempts: dict[str, int] = {}

    def feed(self, chunk: LogChunk) -> list[Line]:
        """Return the lines that a piece of output completes."""
        splitter = self._splitters.setdefault((chunk.step, chunk.attempt, chunk.service, chunk.stream), LineSplitter())
        return self._keep(chunk.step, chunk.attempt, [Line(chunk.service, text) for text in splitter.feed(chunk.data)])

    @property
    def steps(self) -> tuple[str, ...]:
        """Return the steps that wrote something."""
        return tuple(self._attempts)

    def flush(self, step: str) -> list[Line]:
        """Return what a step that ended has left without a line end."""
        lines = []
        for key in [key for key in self._splitters if key[0] == step]:
            rest = self._splitters.pop(key).flush()
            lines += self._keep(step, key[1], [Line(key[2], text) for text in rest])
        return lines

    def last(self, step: str, count: int = KEPT) -> list[Line]:
        """Return the last lines of a step, with what has no line end yet."""
        attempt = self._attempts.get(step, 0)
        open_lines = [
            Line(service, splitter.partial)
            for (key, number, service, _), splitter in self._splitters.items()
            if key == step and number >= attempt and splitter.partial
        ]
        return [*self._lines.get(step, ()), *open_lines][-count:] if count else []

    def _keep(self, step: str, attempt: int, lines: list[Line]) -> list[Line]:
        if attempt > self._attempts.get(step, 0):
            self._attempts[step] = attempt
            self._lines[step] = deque(maxlen=KEPT)
        if attempt == self._attempts[step]:
            self._lines[step].extend(line for line in lines if line.text.strip())
        return lines


def first_error(lines: Sequence[Line]) -> int | None:
    """Return the position of the first line that speaks of an error, None when none does."""
    for at, line in enumerate(lines):
        text = clean(line.text)
        if _BAD_NEWS.search(text) and not _GOOD_NEWS.search(text):
            return at
    return None
