"""Files of one attempt's log, and what is in them.

`header.json`   names: {"format": 1, "services": ["", "app", …], "finished": false, "cut": false}; replaced, never edited
`data`          the masked bytes of all services in the order they arrived; `data.zst` once compressed
`index`         one record of 24 bytes per piece; `index.zst` once compressed
`blocks`        which services are in each 1024 records of the index; it may be absent, and end early
`lock`          held by whoever writes just now

An index record is little-endian: offset (8), time in ns since the epoch (8), length (4), service (2, a position in the
header's list), stream (1: 0 stdout, 1 stderr), flags (1, 0 for now). Records are contiguous: each begins where the one
before ended. Service "" is the product itself speaking, for example about a cut.

An entry of `blocks` is 8 bytes, little-endian: bit n of 63 is set when a service whose number is n modulo 63 has a record
in the block, the highest bit always. Whoever reads one service passes over the blocks without it; an entry without the
highest bit never reached the disk and says nothing.
"""

from __future__ import annotations

import json
import os
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

HEADER, DATA, INDEX, BLOCKS, LOCK = "header.json", "data", "index", "blocks", "lock"
COMPRESSED = ".zst"
RECORD = struct.Struct("<QqIHBB")
BLOCK = 1024  # records of the index that one entry of `blocks` speaks of
BLOCK_ENTRY = struct.Struct("<Q")
WRITTEN = 1 << 63  # set in every entry
STREAMS = ("stdout", "stderr")
MAX_PIECE = 1 << 30  # bytes of one index record; a longer piece is written as several


def service_bit(number: int) -> int:
    """Return the bit of a service in an entry of `blocks`."""
    return 1 << number % 63


class Record(Protocol):
    """What is appended: a piece of output of one service, as an engine or a runner delivers it."""

    @property
    def service(self) -> str:
        """Return the name of the service."""
        ...

    @property
    def stream(self) -> str:
        """Return "stdout" or "stderr"."""
        ...

    @property
    def time_ns(self) -> int:
        """Return the time of the piece in nanoseconds since the epoch."""
        ...

    @property
    def data(self) -> bytes:
        """Return the bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Piece:
    """What is read: a record and where its bytes begin in the attempt's log.

    `line` is the number of the record, from 1: of an engine each is a line of output, or 16 KiB of a longer one.
    """

    offset: int
    service: str
    stream: str
    time_ns: int
    data: bytes
    line: int


@dataclass(frozen=True, slots=True)
class Header:
    """State of a log. `finished`: nothing will be appended; `cut`: output beyond the limit was dropped."""

    services: tuple[str, ...] = ()
    finished: bool = False
    cut: bool = False

    @classmethod
    def load(cls, directory: Path) -> Header:
        """Read the header; an attempt that never wrote has an empty one."""
        try:
            stored = json.loads((directory / HEADER).read_bytes())
        except FileNotFoundError:
            return cls()
        return cls(tuple(stored["services"]), stored["finished"], stored["cut"])

    def save(self, directory: Path) -> None:
        """Replace the header atomically, on disk before this returns."""
        target = directory / HEADER
        replace_file(target, json.dumps({"format": 1} | asdict(self)).encode())


def replace_file(target: Path, content: bytes) -> None:
    """Write a small file so that readers, and a machine that lost power, see the old or the new content."""
    temporary = target.with_name(target.name + ".new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(target)
    sync_directory(target.parent)


def sync_directory(directory: Path) -> None:
    """Make names in a directory survive a loss of power."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
