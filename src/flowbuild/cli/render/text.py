"""Output of steps made safe to show: bytes in, lines of text out that cannot act on a terminal.

Kept: printable text and colours (SGR, ECMA-48 §8.3.117). Dropped: every other escape sequence (cursor, titles,
clipboard, links, …). Made visible: control characters, bidirectional overrides and other characters without a face.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_LINE = 16384  # characters; a line without end is shown in pieces of this size

_ESCAPE = re.compile(
    r"\x1b\[(?P<sgr>[0-9;:]*)m"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # control sequences
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # command strings, with their content
    r"|\x1b[ -/]*[0-~]"  # short sequences
)
_FACELESS = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)
# Bold, dim, italic, underline, reverse, strike, their ends, and 16 colours. Not blinking, not concealed.
_PLAIN_SGR = frozenset({0, 1, 2, 3, 4, 7, 9, *range(22, 26), 27, 29, *range(30, 38), 39, *range(40, 48), 49})
_BRIGHT_SGR = frozenset({*range(90, 98), *range(100, 108)})


def clean(line: str, *, colour: bool = False) -> str:
    """Return a line that is safe to write to a terminal; with `colour` its colours remain, and end with it."""
    if not colour:
        return _visible(_ESCAPE.sub("", line))
    parts: list[str] = []
    at, coloured = 0, False
    for match in _ESCAPE.finditer(line):
        parts.append(_visible(line[at : match.start()]))
        at = match.end()
        if match["sgr"] is not None and (kept := _sgr(match["sgr"])) is not None:
            parts.append(kept)
            coloured = True
    parts.append(_visible(line[at:]))
    return "".join(parts) + "\x1b[0m" * coloured


def _visible(text: str) -> str:
    return _FACELESS.sub(_face, text.expandtabs(8) if "\t" in text else text)


def _face(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return "^" + chr(code + 0x40)
    return f"\\x{code:02x}" if code < 0x100 else f"<U+{code:04X}>"


def _sgr(parameters: str) -> str | None:
    """Return the sequence with the parameters we let through, None when none is left."""
    numbers = [int(number) if number and len(number) < 4 else 0 for number in re.split("[;:]", parameters)]
    kept: list[int] = []
    at = 0
    while at < len(numbers):
        size = 1
        if numbers[at] in (38, 48):  # a colour of the palette or of 24 bits follows
            size = {5: 3, 2: 5}.get(numbers[at + 1] if at + 1 < len(numbers) else 0, 1)
            values = numbers[at : at + size]
            if size > 1 and len(values) == size and max(values[2:]) < 256:
                kept += values
        elif numbers[at] in _PLAIN_SGR or numbers[at] in _BRIGHT_SGR:
            kept.append(numbers[at])
        at += size
    return f"\x1b[{';'.join(map(str, kept))}m" if kept else None


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
