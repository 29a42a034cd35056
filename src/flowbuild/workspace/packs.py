"""Writes git objects straight into one pack of a bare SHA-256 repository, without starting git.

Objects are stored, not compressed: on one machine or a LAN the processor is the bottleneck, and what goes over a slow
wire is compressed as a whole. Source of the formats: git's `gitformat-pack` (pack version 2, index version 2), RFC 1950
and RFC 1951 (zlib stream made of stored blocks).
"""

from __future__ import annotations

import contextlib
import mmap
import os
import secrets
import struct
from bisect import bisect
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self
from zlib import adler32, crc32

from flowbuild.core.errors import WorkspaceError
from flowbuild.workspace.objects import OID_BYTES, TREE_MODE, ObjectDatabase, TreeEntry

_KINDS = {  # type number in a pack, what is hashed before the content
    "commit": (1, b"commit %d\0"),
    "tree": (2, b"tree %d\0"),
    "blob": (3, b"blob %d\0"),
    "tag": (4, b"tag %d\0"),
}
_FLUSH_BYTES = 4 << 20
_STORED = struct.Struct("<3sHH").pack  # zlib header, final stored block, length, its complement
_STORED_MAX = 65535  # longest stored block of RFC 1951
_FAR = 1 << 31  # offsets from here on are in a table of their own
_FAR_FLAG = 1 << 31
_PREFIX = "tmp_pack_"  # the prefix git itself uses, so `git gc` removes what a crash left


def object_id(kind: str, data: bytes) -> bytes:
    """Return the SHA-256 object id (32 raw bytes) that git gives to this content."""
    return sha256(b"%s %d\0%s" % (kind.encode(), len(data), data)).digest()


def _type_and_size(kind: int, size: int) -> bytes:
    """Encode the header of a pack entry: 3 bits of type, size in little-endian groups of 4, 7, 7, … bits."""
    byte, rest = kind << 4 | size & 15, size >> 4
    if not rest:
        return bytes((byte,))
    if rest < 0x80:
        return bytes((byte | 0x80, rest))
    header = bytearray()
    while rest:
        header.append(byte | 0x80)
        byte, rest = rest & 0x7F, rest >> 7
    header.append(byte)
    return bytes(header)


def _stored(data: bytes) -> bytes:
    """Wrap data longer than one block into a zlib stream of stored blocks."""
    parts: list[bytes | memoryview] = [b"\x78\x01"]
    view, size = memoryview(data), len(data)
    for at in range(0, size, _STORED_MAX):
        block = view[at : at + _STORED_MAX]
        parts += (struct.pack("<BHH", at + len(block) == size, len(block), len(block) ^ 0xFFFF), block)
    parts.append(adler32(data).to_bytes(4, "big"))
    return b"".join(parts)


def tree_data(entries: Iterable[TreeEntry]) -> bytes:
    """Return the content of a tree object, sorted as git sorts (directories as if their name ended in `/`).

    Raises WorkspaceError on names that no tree may hold and on duplicates.
    """
    lines: dict[bytes, bytes] = {}
    names = set()
    for entry in entries:
        name = entry.name
        if name in names or name in (b"", b".", b"..") or b"/" in name or b"\0" in name or len(entry.oid) != OID_BYTES:
            raise WorkspaceError(f"A tree cannot hold an entry named {name!r}, or it holds it already")
        names.add(name)
        lines[name + b"/" if entry.mode == TREE_MODE else name] = b"%o %s\0%s" % (entry.mode, name, entry.oid)
    return b"".join([lines[key] for key in sorted(lines)])


class PackWriter:
    """Collects objects into one new pack of a repository; use as a context manager.

    Nothing is visible to any reader before `close`, which renames the pack and then its index into place. Leaving the
    `with` block by an exception aborts. Objects that `known` holds are not written again. Not safe for several threads.
    """

    def __init__(self, git_dir: Path, known: ObjectDatabase | None = None) -> None:
        self._directory = Path(git_dir) / "objects" / "pack"
        self._directory.mkdir(parents=True, exist_ok=True)
        self._known = known
        self._temporary = self._directory / f"{_PREFIX}{secrets.token_hex(8)}"
        self._file = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
        self._entries: dict[bytes, tuple[int, int]] = {}  # oid -> offset, crc32 of the packed bytes
        self._pending = [b"PACK\0\0\0\2\0\0\0\0"]
        self._pending_bytes = self._offset = 12
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def __contains__(self, oid: bytes) -> bool:
        """Tell whether the object was added, or is known."""
        return oid in self._entries or (self._known is not None and oid in self._known)

    def add(self, kind: str, data: bytes) -> bytes:
        """Add an object unless it is there already; return its id (32 raw bytes)."""
        number, header = _KINDS[kind]
        digest = sha256(header % len(data))
        digest.update(data)  # on its own: joined with the header it would be copied
        oid = digest.digest()
        if oid not in self._entries and (self._known is None or oid not in self._known):
            self._append(number, data, oid)
        return oid

    def add_tree(self, entries: Iterable[TreeEntry]) -> bytes:
        """Add a tree, sorted as git sorts; return its id."""
        return self.add("tree", tree_data(entries))

    def _append(self, kind: int, data: bytes, oid: bytes) -> None:
        size = len(data)
        head = _type_and_size(kind, size)
        if size <= _STORED_MAX:
            head += _STORED(b"\x78\x01\x01", size, size ^ 0xFFFF)
            packed = b"".join((head, data, adler32(data).to_bytes(4, "big")))
        else:
            packed = head + _stored(data)
        self._entries[oid] = (self._offset, crc32(packed))
        self._pending.append(packed)
        length = len(packed)
        self._offset += length
        self._pending_bytes += length
        if self._pending_bytes > _FLUSH_BYTES:
            self._flush()

    def _flush(self) -> None:
        view = memoryview(b"".join(self._pending))
        self._pending, self._pending_bytes = [], 0
        while view:
            view = view[os.write(self._file, view) :]

    def abort(self) -> None:
        """Throw everything away. Idempotent; without effect after `close`."""
        if self._open:
            self._end()
            self._temporary.unlink(missing_ok=True)

    def _end(self) -> None:
        self._open = False
        os.close(self._file)
        if self._known is not None:
            self._known.forget()

    def close(self) -> Path | None:
        """Make the objects visible; return the path of the pack, or None when nothing was added. Idempotent."""
        if not self._open:
            return None
        if not self._entries:
            self.abort()
            return None
        try:
            return self._publish()
        except BaseException:
            self.abort()
            raise

    def _publish(self) -> Path:
        self._flush()
        os.pwrite(self._file, len(self._entries).to_bytes(4, "big"), 8)
        with mmap.mmap(self._file, 0, access=mmap.ACCESS_READ) as content:
            checksum = sha256(content).digest()  # the count in the header comes first: only now can it be computed
        os.pwrite(self._file, checksum, self._offset)
        index = pack_index(self._entries, checksum)
        final = self._directory / f"pack-{checksum.hex()}.pack"
        temporary_index = self._temporary.with_suffix(".idx")
        try:
            descriptor = os.open(temporary_index, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
            with os.fdopen(descriptor, "wb") as file:
                file.write(index)
            self._temporary.rename(final)
            temporary_index.rename(final.with_suffix(".idx"))
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary_index.unlink()
        self._end()
        return final


def pack_index(entries: Mapping[bytes, tuple[int, int]], checksum: bytes) -> bytes:
    """Return the index of a pack with that SHA-256: offset and CRC-32 of the packed bytes by object id."""
    oids = sorted(entries)
    fanout = [bisect(oids, bytes((first,)) + b"\xff" * (OID_BYTES - 1)) for first in range(256)]
    offsets, checks = zip(*[entries[oid] for oid in oids], strict=True)
    far = [offset for offset in offsets if offset >= _FAR]
    if far:
        places = iter(range(_FAR_FLAG, _FAR_FLAG + len(far)))
        offsets = tuple(offset if offset < _FAR else next(places) for offset in offsets)
    count = len(oids)
    index = b"".join(
        (
            b"\xfftOc\0\0\0\2",
            struct.pack(">256I", *fanout),
            *oids,
            struct.pack(f">{count}I", *checks),
            struct.pack(f">{count}I", *offsets),
            struct.pack(f">{len(far)}Q", *far),
            checksum,
        )
    )
    return index + sha256(index).digest()
