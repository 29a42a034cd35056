"""Reading an attempt's log by byte offset, whole or per service, while it is written or long after."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from flowbuild.logs.compress import Source, open_source
from flowbuild.logs.format import (
    BLOCK,
    BLOCK_ENTRY,
    BLOCKS,
    DATA,
    INDEX,
    RECORD,
    STREAMS,
    WRITTEN,
    Header,
    Piece,
    service_bit,
)

_ENTRIES = 4096  # entries of `blocks` read at once
MAX_READ = 1 << 20  # bytes of one piece; a longer one is delivered in parts


class LogReader:
    """Reads the log in `directory`, which need not exist yet. Not thread-safe; open one per reader."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._sources: tuple[Source, Source] | None = None
        self._header = Header()

    def header(self) -> Header:
        """Return services and state of the log as they are now."""
        return Header.load(self._directory)

    def size(self) -> int:
        """Return how many bytes can be read now."""
        count = self._count()
        if not count:
            return 0
        offset, _, length, *_ = self._records(count - 1, 1)[0]
        return offset + length

    def lines(self) -> int:
        """Return how many lines (see `Piece`) can be read now."""
        return self._count()

    def offset_of(self, line: int) -> int:
        """Return the byte at which a line begins; the size of the log for one that is not there yet."""
        if line > self._count():
            return self.size()
        return self._records(max(line, 1) - 1, 1)[0][0]

    def line_at(self, offset: int) -> int:
        """Return the number of the line that has a byte, one more than there are when there is no such byte."""
        return self._find(offset, self._count()) + 1

    def read(
        self, offset: int = 0, *, services: Collection[str] | None = None, end: int | None = None
    ) -> Iterator[Piece]:
        """Yield what is there now from byte `offset` up to byte `end`, in the order of arrival.

        With `services` only their pieces; offsets still count bytes of the whole log. The first and last piece may be
        parts of a record. Memory does not depend on the size of the log, nor does the time on what others wrote.
        """
        count = self._count()
        position = self._find(offset, count)
        wanted = None if services is None else self._bits(services)
        while position < count:
            if wanted is not None and (position := self._next_block(position, count, wanted)) >= count:
                return
            batch = self._records(position, min(BLOCK - position % BLOCK, count - position))
            for line, (start, time_ns, length, service, stream, _) in enumerate(batch, position + 1):
                if end is not None and start >= end:
                    return
                name = self._service(service)
                if services is None or name in services:
                    stop = start + length if end is None else min(start + length, end)
                    about = (name, STREAMS[stream], time_ns)
                    for at, data in self._data(max(start, offset), stop):
                        yield Piece(at, *about, data, line)
            position += len(batch)

    def close(self) -> None:
        """Give the files back. Idempotent."""
        for source in self._sources or ():
            source.close()
        self._sources = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> tuple[Source, Source] | None:
        if self._sources is None:
            try:
                data = open_source(self._directory, DATA)
            except FileNotFoundError:
                return None  # nothing was written yet
            try:
                self._sources = open_source(self._directory, INDEX), data
            except FileNotFoundError:
                data.close()  # the writer is creating both at this moment
                return None
            except BaseException:
                data.close()
                raise
        return self._sources

    def _count(self) -> int:
        sources = self._open()
        return sources[0].size() // RECORD.size if sources else 0

    def _records(self, position: int, count: int) -> list[tuple[int, int, int, int, int, int]]:
        sources = self._open()
        block = sources[0].read(position * RECORD.size, count * RECORD.size) if sources else b""
        return list(RECORD.iter_unpack(block[: len(block) // RECORD.size * RECORD.size]))

    def _find(self, offset: int, count: int) -> int:
        """Return the position of the record that holds byte `offset`, by bisection over the index."""
        low, high = 0, count
        while low < high:
            middle = (low + high) // 2
            start, _, length, *_ = self._records(middle, 1)[0]
            low, high = (middle + 1, high) if start + length <= offset else (low, middle)
        return low

    def _bits(self, services: Collection[str]) -> int:
        """Return the bits that blocks with one of the services have."""
        names = self.header().services
        bits = 0
        for number, name in enumerate(names):
            bits |= service_bit(number) if name in services else 0
        return bits

    def _next_block(self, position: int, count: int, wanted: int) -> int:
        """Return the position, or the beginning of the first block after it that may hold what is wanted; `count` if none does."""
        block = position // BLOCK
        while block * BLOCK < count:
            entries = self._entries(block)
            for entry in entries:
                if not entry & WRITTEN or entry & wanted:
                    return max(position, block * BLOCK)
                block += 1
            if len(entries) < _ENTRIES:
                break
        return max(position, block * BLOCK)

    def _entries(self, block: int) -> list[int]:
        """Return entries of `blocks` from that of a block on, none when there are none."""
        try:
            with (self._directory / BLOCKS).open("rb") as file:
                file.seek(block * BLOCK_ENTRY.size)
                found = file.read(_ENTRIES * BLOCK_ENTRY.size)
        except FileNotFoundError:  # a log of an earlier version
            return []
        whole = len(found) // BLOCK_ENTRY.size * BLOCK_ENTRY.size
        return [entry for (entry,) in BLOCK_ENTRY.iter_unpack(found[:whole])]

    def _service(self, number: int) -> str:
        if number >= len(self._header.services):
            self._header = self.header()  # a new service: its name is on disk before its first record
        return self._header.services[number]

    def _data(self, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        sources = self._open()
        while sources and start < stop:
            data = sources[1].read(start, min(MAX_READ, stop - start))
            if not data:
                return
            yield start, data
            start += len(data)
