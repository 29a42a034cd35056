"""The index of a workspace that no git checked out: with it `git status` need not read the files.

Source of the format: gitformat-index(5), version 2.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from typing import NamedTuple

_FIXED = struct.Struct(">10I")  # ctime, mtime (each seconds, nanoseconds), dev, ino, mode, uid, gid, size
_LONGEST = 0xFFF  # longest name whose length is told


class IndexEntry(NamedTuple):
    """A path with its object (hexadecimal), and the size of the file in bytes."""

    path: bytes
    mode: int
    oid: str
    size: int


def encode_index(entries: Iterable[IndexEntry], seconds: int, *, sha256: bool) -> bytes:
    """Return an index file in which every entry was last changed at `seconds` since the epoch."""
    lines = [_line(entry, seconds) for entry in sorted(entries)]
    data = struct.pack(">4sII", b"DIRC", 2, len(lines)) + b"".join(lines)
    digest = hashlib.sha256(data) if sha256 else hashlib.sha1(data, usedforsecurity=False)
    return data + digest.digest()


def _line(entry: IndexEntry, seconds: int) -> bytes:
    stat = _FIXED.pack(seconds, 0, seconds, 0, 0, 0, entry.mode, 0, 0, entry.size & 0xFFFFFFFF)
    flags = min(len(entry.path), _LONGEST).to_bytes(2, "big")
    line = stat + bytes.fromhex(entry.oid) + flags + entry.path
    return line + bytes(8 - len(line) % 8)
