"""A block of lines at the bottom of a terminal that is painted again and again in place.

Escape sequences are those of ECMA-48, and the private modes 25 (cursor), 7 (wrapping) and 2026 (synchronised output);
a terminal that does not know a mode ignores it.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

_BEGIN = "\x1b[?2026h\x1b[?25l\x1b[?7l"
_END = "\x1b[?7h\x1b[?2026l\x1b[?25h"  # the cursor comes back each time: a program that is killed cannot do it
_CLEAR_BELOW = "\x1b[J"


class Screen:
    """Paints blocks over one another. Lines must fit the width; a block of a whole screen or more is cut at its top."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._widths: list[int] = []  # of the lines that are on the screen
        self._painted = ""

    @property
    def console(self) -> Console:
        """Return the console that is painted on."""
        return self._console

    def paint(self, lines: Sequence[Text]) -> None:
        """Replace the block."""
        height = max(self._console.height - 1, 1)
        shown = list(lines)[-height:]
        body = "".join(self._render(line) + "\x1b[K\r\n" for line in shown)
        up = self._rows()
        if body == self._painted and up == len(self._widths):
            return
        self._write(_BEGIN + self._up(up) + body + _CLEAR_BELOW + _END)
        self._widths = [line.cell_len for line in shown]
        self._painted = body

    def close(self, lines: Sequence[Text]) -> None:
        """Replace the block by lines that stay."""
        body = "".join(self._render(line) + "\x1b[K\r\n" for line in lines)
        # Painted over and cleared below, in this order: some terminals keep a copy of a screen that is cleared from the top.
        self._write(_BEGIN + self._up(self._rows()) + body + _CLEAR_BELOW + _END)
        self._widths, self._painted = [], ""

    def _up(self, rows: int) -> str:
        return f"\r\x1b[{rows}A" if rows else "\r"

    def _rows(self) -> int:
        """Return how many rows the block takes now: a terminal that became narrower has wrapped its lines."""
        width = max(self._console.width, 1)
        return min(sum(max(1, -(-cells // width)) for cells in self._widths), max(self._console.height - 1, 1))

    def _render(self, line: Text) -> str:
        with self._console.capture() as captured:
            self._console.print(line, end="", soft_wrap=True)
        return captured.get()

    def _write(self, text: str) -> None:
        encoding = self._console.encoding
        self._console.file.write(text.encode(encoding, "replace").decode(encoding))
        self._console.file.flush()
