"""Output of containers through the Engine API: framed streams, times cut off, bytes untouched, resumable.

Frame (Engine API, "attach"): 1 byte stream (1 stdout, 2 stderr), 3 bytes 0, 4 bytes length, big-endian; with
timestamps the engine sends one frame per record, a record being a line or, of longer lines, 16 KiB. A container with a
terminal has no frames: there a record ends with its line, or after 16 KiB when a time follows.

Engine 20.10's driver `local` (the only one that keeps all bytes) loses the line end of a line longer than 16 KiB. All
pieces of a line carry the time of its first one, and a piece without line end is followed by something of another time
only when a line end was lost: it is put in front of what follows. Not repaired: such a line as the last output.

Resuming: the engine's times of one container may repeat (pieces of one line) and may step back a little (stdout and
stderr are stamped apart). So records get strictly increasing times: max(engine's time, last + 1 ns). Asked to resume
after T, the engine replays from a second before T, the same times are computed again, and what is not later than T is
dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from flowbuild.engine.base import LogRecord
from flowbuild.engine.verdict import parse_time

HEADER = 8
STREAMS = {0: "stdin", 1: "stdout", 2: "stderr"}
STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ")
STAMP_BYTES = 31
PIECE = 16384  # the engine's longest record
OVERLAP_NS = 10**9


class Sequencer:
    """Gives the records of one service strictly increasing times, and drops those that are kept already."""

    def __init__(self, service: str, after_ns: int) -> None:
        self._service = service
        self._after = after_ns
        self._last = 0
        self._open: dict[str, int] = {}  # by stream: time of the last record, when that has no line end

    @property
    def since(self) -> str:
        """The `since` to ask the engine for: seconds and nanoseconds."""
        start = max(0, max(self._after, self._last) - OVERLAP_NS)
        return f"{start // 10**9}.{start % 10**9:09d}"

    def resumed(self) -> None:
        """Begin again after the last record, with a new answer of the engine."""
        self._after, self._last = max(self._after, self._last), 0
        self._open.clear()

    def record(self, stream: str, stamped: bytes) -> LogRecord | None:
        """Return the record of "<time> <bytes>", None when it is kept already."""
        text, _, data = stamped.partition(b" ")
        time_ns = parse_time(text.decode("ascii", "replace"))
        if self._open.get(stream, time_ns) != time_ns:
            data = b"\n" + data
        self._open.pop(stream, None)
        if not data.endswith(b"\n"):
            self._open[stream] = time_ns
        self._last = max(time_ns, self._last + 1)
        return LogRecord(self._service, stream, self._last, data) if self._last > self._after else None


class FrameParser:
    """Cuts framed output into (stream, record)."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[tuple[str, bytes]]:
        """Yield the records that are complete now."""
        self._buffer += chunk
        at = 0
        while len(self._buffer) - at >= HEADER:
            end = at + HEADER + int.from_bytes(self._buffer[at + 4 : at + HEADER], "big")
            if len(self._buffer) < end:
                break
            yield STREAMS.get(self._buffer[at], "stdout"), bytes(self._buffer[at + HEADER : end])
            at = end
        del self._buffer[:at]

    def rest(self) -> Iterator[tuple[str, bytes]]:
        """Yield nothing: a frame that was cut comes again, whole, when the log is resumed."""
        return iter(())


class TerminalParser:
    """Cuts the output of a container with a terminal into records; everything there is stdout."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._continued = False  # the last record was a full piece: what follows may end without a line end

    def feed(self, chunk: bytes) -> Iterator[tuple[str, bytes]]:
        """Yield the records whose end is certain."""
        self._buffer += chunk
        while (end := self._end()) is not None:
            record = bytes(self._buffer[:end])
            self._continued = not record.endswith(b"\n") and end == STAMP_BYTES + PIECE
            del self._buffer[:end]
            yield "stdout", record

    def rest(self) -> Iterator[tuple[str, bytes]]:
        """Yield the last record: output need not end with a line end."""
        if len(self._buffer) >= STAMP_BYTES:
            yield "stdout", bytes(self._buffer)
        self._buffer.clear()

    def _end(self) -> int | None:
        """Return where the first record ends, None when more must be read to know."""
        full = STAMP_BYTES + PIECE
        newline = self._buffer.find(b"\n", STAMP_BYTES, full + 1)
        if self._continued:
            stamp = STAMP.search(self._buffer, STAMP_BYTES, full + STAMP_BYTES)
            if stamp and (newline < 0 or stamp.start() < newline):
                return stamp.start()
        if newline >= 0:
            return newline + 1
        if len(self._buffer) < full + STAMP_BYTES:
            return None
        return full
