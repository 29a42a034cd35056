"""Finished logs at rest: the seekable zstd format, so that any range is read without unpacking the rest.

The file is a row of independent frames of 1 MiB of content (`zstd -d` of any distribution unpacks it), then a table of
their sizes in a frame that decoders skip: "Zstandard Seekable Format", version 0.1.0, contrib/seekable_format of the
zstd project.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, Protocol

import zstandard

from flowbuild.core.errors import Conflict, SystemFailed
from flowbuild.logs.format import COMPRESSED, DATA, INDEX, Header, sync_directory

FRAME = 1 << 20  # bytes of content; the most that is unpacked to read one byte
LEVEL = 6
_SKIPPABLE = 0x184D2A5E
_SEEKABLE = 0x8F92EAB1
_ENTRY = struct.Struct("<II")  # compressed and unpacked size of a frame; also magic and length of the table's frame
_FOOTER = struct.Struct("<IBI")  # number of frames, descriptor, magic


class Source(Protocol):
    """Bytes that are read by position."""

    def size(self) -> int:
        """Return how many bytes there are now."""
        ...

    def read(self, at: int, count: int) -> bytes:
        """Return up to `count` bytes from `at`; fewer only at the end."""
        ...

    def close(self) -> None:
        """Give the file back."""
        ...


class PlainSource:
    """A file as it is, which may be growing."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def size(self) -> int:
        """Return the size now."""
        return os.fstat(self._handle).st_size

    def read(self, at: int, count: int) -> bytes:
        """Return up to `count` bytes from `at`."""
        parts: list[bytes] = []
        while count > 0 and (part := os.pread(self._handle, count, at)):
            parts.append(part)
            at, count = at + len(part), count - len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)


class ZstdSource:
    """A file in the seekable format. Raises SystemFailed when it is damaged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")
        try:
            self._starts, self._offsets = self._read_table()  # unpacked and packed start of each frame, and the ends
        except BaseException:
            self._file.close()
            raise
        self._frame, self._content = -1, b""  # the frame that was read last: reading is mostly in order

    def size(self) -> int:
        """Return the unpacked size."""
        return self._starts[-1]

    def read(self, at: int, count: int) -> bytes:
        """Return up to `count` unpacked bytes from `at`."""
        parts: list[bytes] = []
        end = min(at + count, self.size())
        while at < end:
            frame = bisect_right(self._starts, at) - 1
            content = self._unpack(frame)
            part = content[at - self._starts[frame] : end - self._starts[frame]]
            parts.append(part)
            at += len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _unpack(self, frame: int) -> bytes:
        if frame != self._frame:
            start, end = self._offsets[frame : frame + 2]
            expected = self._starts[frame + 1] - self._starts[frame]
            self._file.seek(start)
            try:
                content = zstandard.ZstdDecompressor().decompress(
                    self._file.read(end - start), max_output_size=expected
                )
            except zstandard.ZstdError as error:
                raise self._damaged(str(error)) from error
            if len(content) != expected:
                raise self._damaged(f"frame {frame} has {len(content)} bytes, the table says {expected}")
            self._frame, self._content = frame, content
        return self._content

    def _read_table(self) -> tuple[list[int], list[int]]:
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(max(0, size - _FOOTER.size))
        footer = self._file.read()
        count, _, magic = _FOOTER.unpack(footer) if len(footer) == _FOOTER.size else (0, 0, 0)
        table = count * _ENTRY.size
        start = size - _FOOTER.size - table
        if magic != _SEEKABLE or start < _ENTRY.size:
            raise self._damaged("its seek table is missing")
        self._file.seek(start)
        packed, unpacked = zip(*_ENTRY.iter_unpack(self._file.read(table)), strict=True) if count else ((), ())
        return list(accumulate(unpacked, initial=0)), list(accumulate(packed, initial=0))

    def _damaged(self, why: str) -> SystemFailed:
        return SystemFailed(f"log file {self._path} is damaged: {why}")


def open_source(directory: Path, name: str) -> Source:
    """Open a file of a log, plain or compressed. Raises FileNotFoundError when there is neither."""
    try:
        return PlainSource(directory / name)
    except FileNotFoundError:
        return ZstdSource(directory / (name + COMPRESSED))


def compress(directory: Path) -> None:
    """Compress a finished log, with memory for one frame; readers that are open go on reading.

    Can be repeated after a crash at any point, and does nothing when done. Raises Conflict while the log is written.
    """
    if not Header.load(directory).finished:
        raise Conflict(f"the log in {directory} is not finished")
    for name in (DATA, INDEX):
        plain, target = directory / name, directory / (name + COMPRESSED)
        if not plain.exists():
            continue
        temporary = target.with_name(target.name + ".new")
        with plain.open("rb") as source, temporary.open("wb") as packed:
            _pack(source, packed)
            packed.flush()
            os.fsync(packed.fileno())
        temporary.replace(target)
        sync_directory(directory)
        plain.unlink()


def _pack(source: BinaryIO, target: BinaryIO) -> None:
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
    table: list[bytes] = []
    while block := source.read(FRAME):
        frame = compressor.compress(block)
        target.write(frame)
        table.append(_ENTRY.pack(len(frame), len(block)))
    target.write(_ENTRY.pack(_SKIPPABLE, len(table) * _ENTRY.size + _FOOTER.size))
    target.write(b"".join(table))
    target.write(_FOOTER.pack(len(table), 0, _SEEKABLE))
