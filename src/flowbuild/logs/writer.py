"""The writer of an attempt's log. Appending is idempotent by offset: the sender repeats until it is acknowledged.

What survives: a call that returned is in the kernel, so it survives the death of this program (kill -9); the end of the
log is not forced to disk on every append, so a loss of power may take the last seconds. `sync` and `finish` force it.
Whatever was torn is cut by the next writer to the last piece of which everything is there, and the sender, told the
offset, sends the rest again.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

from flowbuild.core.errors import Conflict
from flowbuild.logs.format import (
    BLOCK,
    BLOCK_ENTRY,
    BLOCKS,
    COMPRESSED,
    DATA,
    HEADER,
    INDEX,
    LOCK,
    MAX_PIECE,
    RECORD,
    STREAMS,
    WRITTEN,
    Header,
    Record,
    service_bit,
)

DEFAULT_LIMIT = 4 << 30  # bytes of one attempt
MAX_SERVICES = 1000  # a compose file may have a tenth of that
_BLOCK = 4096 * RECORD.size
_Stamp = tuple[int, int, int, int]


class LogGap(Conflict):
    """An append would leave a hole; send again from `expected`."""

    code = "log_gap"

    def __init__(self, expected: int, got: int) -> None:
        super().__init__(f"log continues at byte {expected}, not at {got}", hint=f"send again from byte {expected}")
        self.expected = expected


class AttemptLog:
    """Appends to the log in `directory`, which is created. Raises Conflict when it is finished.

    Several programs may write, a call at a time: a runner may go on at another server. Each takes in first what others did.
    Beyond `limit` bytes output is acknowledged and dropped, after a line of service "" that says so.
    """

    def __init__(self, directory: Path, *, limit: int = DEFAULT_LIMIT) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._limit = limit
        self._mutex = threading.Lock()  # flock does not exclude threads that share a descriptor
        self._lock = self._data = self._index = self._blocks = -1
        self._seen: _Stamp | None = None  # how the files were when our turn ended
        self._dropped = 0
        self._header = Header()
        try:
            with self._turn():
                pass
        except BaseException:
            self.close()
            raise

    @property
    def offset(self) -> int:
        """Return the offset at which the next append is expected."""
        with self._turn():
            return self._next

    def last_times(self) -> Mapping[str, int]:
        """Return the time of the newest piece of each service, in ns: where to resume after a restart."""
        with self._turn():
            return dict(self._times)

    def append(self, offset: int, records: Sequence[Record]) -> int:
        """Append records whose first byte is byte `offset` of the log; return the offset that is expected next.

        Bytes that are there already (a resend) are skipped exactly, also inside a record. Raises LogGap when bytes
        before `offset` are missing, Conflict for more services than a step can have, and OSError when the disk refuses; then
        nothing is lost that was acknowledged.
        """
        with self._turn():
            if offset > self._next and not self._header.cut:
                raise LogGap(self._next, offset)
            skip = self._next - offset
            pieces: list[tuple[Record, bytes]] = []
            for record in records:
                data = record.data[skip:] if skip > 0 else record.data
                skip -= len(record.data)
                pieces += ((record, data[at : at + MAX_PIECE]) for at in range(0, len(data), MAX_PIECE))
            if self._header.cut:
                # Only the sender knows how much it sent: after a restart the count of dropped bytes begins anew.
                end = offset + sum(len(record.data) for record in records)
                self._dropped = max(self._dropped, end - self._size)
                return end
            if len({*self._header.services, *(record.service for record, _ in pieces)}) > MAX_SERVICES:
                raise Conflict(f"more than {MAX_SERVICES} services write to one log")
            if pieces:
                self._write(pieces)
            return self._next

    def sync(self) -> None:
        """Force what was appended to disk: data first, so that the index never speaks of bytes that are not there."""
        with self._turn():
            self._sync()

    def finish(self) -> None:
        """Nothing more will come: force everything to disk, close."""
        with self._turn():
            self._sync()
            self._header = Header(self._header.services, finished=True, cut=self._header.cut)
            self._header.save(self._directory)
        self.close()

    def close(self) -> None:
        """Give the files back; whoever appends has them again. Idempotent."""
        with self._mutex:
            self._close_files()
            if self._lock >= 0:
                os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Keep other writers out, and know what they did. Raises Conflict when the log is finished."""
        with self._mutex:
            if self._lock < 0:
                self._lock = os.open(self._directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            try:
                if self._data < 0 or self._seen != self._stamp():
                    self._load()
                yield
                self._seen = self._stamp()
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _load(self) -> None:
        self._close_files()
        self._header = Header.load(self._directory)
        if self._header.finished:
            raise Conflict(f"the log in {self._directory} is finished")
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._data = os.open(self._directory / DATA, flags, 0o644)
        self._index = os.open(self._directory / INDEX, flags, 0o644)
        self._size, self._records = _repair(self._data, self._index)
        self._blocks = os.open(self._directory / BLOCKS, flags, 0o644)
        self._mask = _repair_blocks(self._blocks, self._index, self._records)  # of the block that is not full yet
        self._times = self._read_times()

    def _stamp(self) -> _Stamp:
        """Return what changes whenever somebody writes."""
        sizes = os.fstat(self._data).st_size, os.fstat(self._index).st_size
        try:
            header = (self._directory / HEADER).stat()
        except FileNotFoundError:
            return (*sizes, 0, 0)
        return (*sizes, header.st_ino, header.st_mtime_ns)

    def _close_files(self) -> None:
        for handle in (self._index, self._data, self._blocks):
            if handle >= 0:
                os.close(handle)
        self._index = self._data = self._blocks = -1

    @property
    def _next(self) -> int:
        return self._size + self._dropped

    def _sync(self) -> None:
        os.fdatasync(self._data)
        os.fdatasync(self._index)

    def _write(self, pieces: Sequence[tuple[Record, bytes]]) -> None:
        self._name(record.service for record, _ in pieces)
        room = self._limit - self._size
        kept: list[bytes] = []
        index = bytearray()
        offset, times = self._size, dict[str, int]()
        for record, data in pieces:
            part = data[: max(room, 0)]
            room -= len(data)
            if part:
                index += self._record(offset, record.service, record.stream, record.time_ns, part)
                kept.append(part)
                offset += len(part)
                times[record.service] = record.time_ns
            if room < 0:
                self._name([""])
                mark = f"\n*** output cut here: this attempt wrote more than {self._limit} bytes ***\n".encode()
                index += self._record(offset, "", "stderr", record.time_ns, mark)
                kept.append(mark)
                offset += len(mark)
                break
        _write_all(self._data, b"".join(kept), self._size)
        _write_all(self._index, index, self._records * RECORD.size)
        self._add_to_blocks(index)
        total = self._size + sum(len(data) for _, data in pieces)
        self._size, self._records = offset, self._records + len(index) // RECORD.size
        for service, time_ns in times.items():
            self._times[service] = max(time_ns, self._times.get(service, 0))
        if room < 0:
            self._dropped = total - self._size  # negative while the mark is longer: offsets stay the sender's
            self._header = Header(self._header.services, finished=False, cut=True)
            self._header.save(self._directory)

    def _add_to_blocks(self, index: bytearray) -> None:
        """Take in records that were written behind the others; an entry is written when its block is full."""
        position, first, full = self._records, self._records // BLOCK, bytearray()
        for _, _, _, service, _, _ in RECORD.iter_unpack(index):
            self._mask |= service_bit(service)
            position += 1
            if position % BLOCK == 0:
                full += BLOCK_ENTRY.pack(self._mask | WRITTEN)
                self._mask = 0
        if full:
            _write_all(self._blocks, full, first * BLOCK_ENTRY.size)

    def _record(self, offset: int, service: str, stream: str, time_ns: int, data: bytes) -> bytes:
        return RECORD.pack(offset, time_ns, len(data), self._header.services.index(service), STREAMS.index(stream), 0)

    def _name(self, services: Iterable[str]) -> None:
        """Give services numbers: their names are on disk before a record uses them."""
        known = self._header.services
        names = tuple(dict.fromkeys([*known, *services]))
        if names != known:
            self._header = Header(names, cut=self._header.cut)
            self._header.save(self._directory)

    def _read_times(self) -> dict[str, int]:
        """Read the index backwards until every service was seen; its pieces are in the order of their arrival."""
        times: dict[str, int] = {}
        end = self._records * RECORD.size
        while end > 0 and len(times) < len(self._header.services):
            start = max(0, end - _BLOCK)
            block = os.pread(self._index, end - start, start)
            for _, time_ns, _, service, _, _ in RECORD.iter_unpack(block):
                name = self._header.services[service]
                times[name] = max(time_ns, times.get(name, 0))
            end = start
        return times


def reopen(directory: Path) -> None:
    """Let a finished log go on; one that was compressed begins anew."""
    header = Header.load(directory)
    if (directory / (DATA + COMPRESSED)).exists():
        shutil.rmtree(directory)
    elif header.finished:
        Header(header.services, cut=header.cut).save(directory)


def _repair(data: int, index: int) -> tuple[int, int]:
    """Cut both files to the last piece that is whole; return the size of the data and the number of records."""
    stored = os.fstat(data).st_size
    count = os.fstat(index).st_size // RECORD.size
    while count and not _whole(index, count, stored):
        count -= 1
    size = 0
    if count:
        offset, _, length, *_ = RECORD.unpack(os.pread(index, RECORD.size, (count - 1) * RECORD.size))
        size = offset + length
    os.ftruncate(index, count * RECORD.size)
    os.ftruncate(data, size)
    return size, count


def _repair_blocks(blocks: int, index: int, count: int) -> int:
    """Make the entries fit the first `count` records, adding those that are missing; return that of the last, open block."""
    full = count // BLOCK
    known = min(full, os.fstat(blocks).st_size // BLOCK_ENTRY.size)
    os.ftruncate(blocks, known * BLOCK_ENTRY.size)
    for number in range(known, full):
        mask = _services(index, number * BLOCK, BLOCK)
        _write_all(blocks, BLOCK_ENTRY.pack(mask | WRITTEN), number * BLOCK_ENTRY.size)
    return _services(index, full * BLOCK, count - full * BLOCK)


def _services(index: int, position: int, count: int) -> int:
    """Return the bits of the services of some records."""
    mask = 0
    for _, _, _, service, _, _ in RECORD.iter_unpack(os.pread(index, count * RECORD.size, position * RECORD.size)):
        mask |= service_bit(service)
    return mask


def _whole(index: int, count: int, stored: int) -> bool:
    """Whether the last of `count` records continues the one before and its bytes are there.

    A block that never reached the disk reads as zeros, so an empty piece is torn, too.
    """
    first = max(0, count - 2)
    records = list(RECORD.iter_unpack(os.pread(index, (count - first) * RECORD.size, first * RECORD.size)))
    offset, _, length, *_ = records[-1]
    continues = all(a[0] + a[2] == b[0] for a, b in pairwise(records)) if len(records) > 1 else offset == 0
    return length > 0 and offset + length <= stored and continues


def _write_all(handle: int, content: bytes | bytearray, at: int) -> None:
    """Write at a position; a short write (full disk, signal) is continued or raises."""
    view = memoryview(content)
    while view:
        written = os.pwrite(handle, view, at)
        view, at = view[written:], at + written
