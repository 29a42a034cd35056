"""One pack and its index, mapped read-only: find an object, inflate it, undo a delta.

Source of the formats: git's `gitformat-pack`, index version 2. An index is checked against its file size once, at
opening; after that all look-ups stay inside the map.
"""

from __future__ import annotations

import contextlib
import mmap
import struct
import zlib
from hashlib import sha256
from pathlib import Path

from flowbuild.core.errors import WorkspaceError

_FANOUT_AT = 8
_TABLE_AT = _FANOUT_AT + 256 * 4
_CHUNK = 1 << 16
_LARGE_OFFSET = 0x80000000
_SCAN = 128  # entries left when bisection hands over to a C search
_SHARE = 16  # an index becomes a dictionary once a search was made for every 16th of its objects …
_LARGEST = 1 << 18  # … unless it has more than this many: some 200 bytes each


class CorruptPack(Exception):
    """Bytes of a pack do not make sense; the caller, who knows which object was read, makes it a WorkspaceError."""


def _map(path: str) -> mmap.mmap:
    with Path(path).open("rb") as file:
        try:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:
            raise WorkspaceError(f"{path} is empty") from error


def check_pack(pack: Path) -> None:
    """Raise WorkspaceError unless a pack and its index are as they were written: each ends with the SHA-256 of the rest."""
    for path in (pack, pack.with_suffix(".idx")):
        with contextlib.closing(_map(str(path))) as content, memoryview(content) as view:
            if sha256(view[:-32]).digest() != bytes(view[-32:]):
                raise WorkspaceError(f"{path} is damaged")


class PackFile:
    """Random access to one pack through its index."""

    __slots__ = (
        "_count",
        "_fanout",
        "_index",
        "_large_at",
        "_lookups",
        "_offsets_at",
        "_oid_bytes",
        "_pack",
        "_table",
        "path",
    )

    def __init__(self, index_path: str, oid_bytes: int) -> None:
        self.path = index_path[:-4] + ".pack"
        self._oid_bytes = oid_bytes
        self._index = index = _map(index_path)
        if len(index) < _TABLE_AT + 2 * oid_bytes or index[:8] != b"\xfftOc\0\0\0\2":
            raise WorkspaceError(f"{index_path} is not a pack index of version 2")
        self._fanout = (0, *struct.unpack_from(">256I", index, _FANOUT_AT))
        self._count = count = self._fanout[256]
        self._offsets_at = _TABLE_AT + count * (oid_bytes + 4)
        self._large_at = self._offsets_at + count * 4
        ascending = all(a <= b for a, b in zip(self._fanout, self._fanout[1:], strict=False))
        if not ascending or self._large_at + 2 * oid_bytes > len(index):
            raise WorkspaceError(f"{index_path} is damaged: its tables do not fit into the file")
        self._lookups = 0
        self._table: dict[bytes, int] | None = None
        self._pack = _map(self.path)
        if self._pack[:4] != b"PACK" or self._pack[8:12] != count.to_bytes(4, "big"):
            raise WorkspaceError(f"{self.path} does not belong to its index")

    def close(self) -> None:
        """Unmap both files."""
        self._index.close()
        self._pack.close()

    def find(self, oid: bytes) -> int | None:
        """Return the offset of an object in the pack, or None."""
        table = self._table  # once: another thread may forget it
        if table is None:
            self._lookups += 1
            if self._lookups * _SHARE > self._count and self._count <= _LARGEST:
                self._table = table = self._offsets()
        if table is not None:
            return table.get(oid)
        first, fanout, index, width = oid[0], self._fanout, self._index, self._oid_bytes
        low, high = fanout[first], fanout[first + 1]
        while high - low > _SCAN:
            middle = (low + high) >> 1
            at = _TABLE_AT + middle * width
            if index[at : at + width] <= oid:
                low = middle
            else:
                high = middle
        window = index[_TABLE_AT + low * width : _TABLE_AT + high * width]
        at = window.find(oid)
        while at % width and at > 0:  # the bytes may also occur across two neighbouring ids
            at = window.find(oid, at + 1)
        if at < 0:
            return None
        slot = self._offsets_at + 4 * (low + at // width)
        return self._far(int.from_bytes(index[slot : slot + 4], "big"))

    def _far(self, offset: int) -> int:
        """Return the offset that a slot of the index means."""
        if not offset & _LARGE_OFFSET:
            return offset
        slot = self._large_at + 8 * (offset & (_LARGE_OFFSET - 1))
        return int.from_bytes(self._index[slot : slot + 8], "big")

    def _offsets(self) -> dict[bytes, int]:
        """Return the whole index: making it costs less than searching for a good part of what it holds."""
        count, width = self._count, self._oid_bytes
        oids = self._index[_TABLE_AT : _TABLE_AT + count * width]
        slots = struct.unpack_from(f">{count}I", self._index, self._offsets_at)
        if slots and max(slots) & _LARGE_OFFSET:
            slots = tuple(map(self._far, slots))
        return {oids[at : at + width]: offset for at, offset in zip(range(0, len(oids), width), slots, strict=True)}

    def forget(self) -> None:
        """Give back the memory that searches took."""
        self._lookups, self._table = 0, None

    def header(self, offset: int) -> tuple[int, int, int]:
        """Return type number, size of the inflated data and offset of what follows the header."""
        pack = self._pack
        try:
            byte = pack[offset]
            kind, size, shift = (byte >> 4) & 7, byte & 15, 4
            while byte & 0x80:
                offset += 1
                byte = pack[offset]
                size |= (byte & 0x7F) << shift
                shift += 7
                if shift > 63:
                    raise CorruptPack("the size of an object is impossible")
        except IndexError as error:
            raise CorruptPack("an offset points outside the pack") from error
        return kind, size, offset + 1

    def base_offset(self, offset: int, at: int) -> tuple[int, int]:
        """Return where the base of an offset delta starts and where its own data does."""
        pack = self._pack
        try:
            byte = pack[at]
            distance = byte & 0x7F
            while byte & 0x80:
                at += 1
                byte = pack[at]
                distance = ((distance + 1) << 7) | (byte & 0x7F)
                if distance > offset:
                    break
        except IndexError as error:
            raise CorruptPack("a delta is cut short") from error
        if not 0 < distance <= offset:
            raise CorruptPack("a delta points outside the pack")
        return offset - distance, at + 1

    def bytes_at(self, at: int, length: int) -> bytes:
        """Return raw bytes of the pack."""
        return self._pack[at : at + length]

    def stored(self, offset: int) -> tuple[int, bytes] | None:
        """Return type number and content of an object that is one stored block, as our own writer makes them, or None.

        The hot path: header and content at once, no inflater. The zlib checksum is verified.
        """
        pack = self._pack
        head = pack[offset : offset + 10]
        if len(head) < 10:
            return None
        kind, size, at = head[0] >> 4 & 7, head[0] & 15, 1
        if head[0] & 0x80:
            size |= (head[1] & 0x7F) << 4
            at = 2
            if head[1] & 0x80:
                size |= head[2] << 11
                at = 3
        if not 1 <= kind <= 4 or head[at : at + 3] != b"\x78\x01\x01" or head[at + 3] | head[at + 4] << 8 != size:
            return None
        start = offset + at + 7
        data = pack[start : start + size]
        if zlib.adler32(data) != int.from_bytes(pack[start + size : start + size + 4], "big"):
            raise CorruptPack("checksum mismatch")
        return kind, data

    def inflate(self, at: int, size: int) -> bytes:
        """Return `size` bytes of zlib data starting at `at`; the zlib checksum is verified."""
        pack = self._pack
        inflater = zlib.decompressobj()
        parts: list[bytes] = []
        have = 0
        step = min(max(size + 1024, 512), 1 << 22)
        try:
            while not inflater.eof:
                chunk = pack[at : at + step]
                if not chunk:
                    raise CorruptPack("an object is cut short")
                part = inflater.decompress(chunk, size - have + 1)
                at += len(chunk) - len(inflater.unconsumed_tail)
                have += len(part)
                parts.append(part)
                if have > size:
                    raise CorruptPack("an object is longer than its header says")
        except zlib.error as error:
            raise CorruptPack(str(error)) from error
        if have != size:
            raise CorruptPack("an object is shorter than its header says")
        return b"".join(parts)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at
        if shift > 63:
            raise CorruptPack("a delta holds an impossible size")


def apply_delta(base: bytes, delta: bytes, limit: int) -> bytes:
    """Return the object that `delta` makes from `base`; raises CorruptPack, also when it exceeds `limit` bytes."""
    try:
        base_size, at = _varint(delta, 0)
        size, at = _varint(delta, at)
        if base_size != len(base) or size > limit:
            raise CorruptPack("a delta does not fit its base")
        parts, made, end = [], 0, len(delta)
        while at < end and made <= size:
            op = delta[at]
            at += 1
            if op & 0x80:
                start = length = 0
                for bit in range(7):
                    if op & (1 << bit):
                        if bit < 4:
                            start |= delta[at] << (8 * bit)
                        else:
                            length |= delta[at] << (8 * (bit - 4))
                        at += 1
                part = base[start : start + (length or 0x10000)]
            elif op:
                part = delta[at : at + op]
                at += op
            else:
                raise CorruptPack("a delta holds a reserved instruction")
            parts.append(part)
            made += len(part)
    except IndexError as error:
        raise CorruptPack("a delta is cut short") from error
    if made != size:
        raise CorruptPack("a delta makes an object of another size")
    return b"".join(parts)
