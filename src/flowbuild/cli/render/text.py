"""Output of steps made safe to show: bytes in, lines of text out that `clean` lets through to a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from flowbuild.core.visible import clean

__all__ = ["MAX_LINE", "LineSplitter", "clean"]

MAX_LINE = 16384  # characters; a line without end is shown in pieces of this size


class LineSplitter:
    """Makes lines of one stream of bytes. A progress bar drawn with carriage returns becomes its last state."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def partial(self) -> str:
        """Return the line that has no end yet, "" if there is none."""
        return _decode(self._rest)

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that are complete now, without line ends and not made safe yet."""
        *complete, rest = (self._rest + data).split(b"\n")
        lines = [piece for line in complete for piece in _pieces(_decode(line))]
        if len(rest) > MAX_LINE:
            rest = rest[:-1].rpartition(b"\r")[2] + rest[-1:]  # states of a progress bar that nobody will see
            lines += _pieces(_decode(rest[:-4])) if len(rest) > MAX_LINE else ()
            rest = rest[-4:] if len(rest) > MAX_LINE else rest  # a character of UTF-8 is not torn apart
        self._rest = rest
        return lines

    def flush(self) -> list[str]:
        """Return what is left at the end of the stream."""
        rest, self._rest = self._rest, b""
        return list(_pieces(_decode(rest))) if rest else []


def _decode(line: bytes) -> str:
    text = line.decode("utf-8", "backslashreplace")
    if "\r" in text:
        text = next((state for state in reversed(text.split("\r")) if state), "")
    return text


def _pieces(line: str) -> Iterator[str]:
    yield line[:MAX_LINE]
    for at in range(MAX_LINE, len(line), MAX_LINE):
        yield line[at : at + MAX_LINE]
