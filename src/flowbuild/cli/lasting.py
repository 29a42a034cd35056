"""A stream that a run outlives."""

from __future__ import annotations

import errno
import sys
from contextlib import suppress
from typing import TextIO

_NOBODY = {errno.EPIPE: "nobody reads it any more", errno.EIO: "the terminal is gone"}


class Lasting:
    """Text written to `stream`, as long as that works: `flow run | head` must not leave half a run behind.

    When it does not work any more (a closed pipe, a terminal that is gone, a full disk) this is said once on standard
    error, and what follows is lost. Everything else is the stream's own.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._works = True

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write the text, or nothing; return its length."""
        if self._works:
            try:
                self._stream.write(text)
            except OSError as error:
                self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Hand over what was written."""
        if self._works:
            try:
                self._stream.flush()
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._works = False
        why = _NOBODY.get(error.errno or 0) or error.strerror
        with suppress(OSError):
            print(f"flow: the output is lost from here on ({why}); the run goes on", file=sys.stderr, flush=True)
