"""Finds the objects of a pack while it comes from elsewhere, and gives it its index.

git's own `index-pack` hashes everything twice with a SHA-256 that does not use what processors have for it; it is started
for packs with deltas only, which servers of ours do not send. Source of the format: git's `gitformat-pack`.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from zlib import crc32

from flowbuild.core.errors import WorkspaceError
from flowbuild.workspace import git
from flowbuild.workspace.git import GitFailure
from flowbuild.workspace.objects import KIND_NAMES, MAX_OBJECT_BYTES
from flowbuild.workspace.packs import pack_index

_HEADER, _TRAILER = 12, 32
_STORED = b"\x78\x01\x01"  # a zlib stream that is one stored block, see `packs`
_STORED_HEAD, _STORED_TAIL = 7, 4
_OFS_DELTA, _REF_DELTA = 6, 7
_LONGEST = 10  # bytes of the header of an object
_OF_THIS_MACHINE = (GitFailure.NO_SPACE, GitFailure.DENIED, GitFailure.TIMEOUT, GitFailure.MISSING)


@dataclass(slots=True)
class _Object:
    """An object that is being inflated: what is known of it so far."""

    start: int
    left: int
    digest: Any
    crc: int
    inflater: Any = field(default_factory=zlib.decompressobj)


class PackIndexer:
    """Takes a pack piece by piece. `entries`: offset and CRC-32 by object id; not all of them when there are `deltas`."""

    def __init__(self) -> None:
        self.entries: dict[bytes, tuple[int, int]] = {}
        self.deltas = False
        self._count = -1  # of objects that are still to come; -1: the header is
        self._ahead = b""
        self._offset = 0  # where in the pack that begins
        self._object: _Object | None = None
        self._digest = sha256()

    def take(self, piece: bytes) -> None:
        """Take a piece. Raises WorkspaceError for what is no pack."""
        if self.deltas:
            return
        data, at = self._ahead + piece, 0
        while self._count and not self.deltas:
            end = self._next(data, at)
            if end is None:
                break
            at = end
        self._digest.update(memoryview(data)[:at])
        self._ahead, self._offset = data[at:], self._offset + at

    def close(self) -> bytes:
        """Return the SHA-256 of the pack without deltas; raises WorkspaceError when it is not whole or is another one."""
        if self._count or self._ahead != self._digest.digest():
            raise _damaged("it is cut short, or its checksum is another one")
        return self._ahead

    def _next(self, data: bytes, at: int) -> int | None:
        """Go on with what begins at `at`; return where something else begins, or None when there is too little."""
        if self._object is not None:
            return self._inflate(self._object, data, at)
        if self._count < 0:
            if len(data) < _HEADER:
                return None
            if data[:8] != b"PACK\0\0\0\2":
                raise _damaged("it is no pack of version 2")
            self._count = int.from_bytes(data[8:_HEADER], "big")
            return _HEADER
        return self._begin(data, at)

    def _begin(self, data: bytes, start: int) -> int | None:
        """Take a whole object if it is one stored block, as our packs have them; begin to inflate others."""
        header = _header(data, start)
        if header is None:
            return None
        kind, size, at = header
        if kind in (_OFS_DELTA, _REF_DELTA):
            self.deltas = True
            return None
        if kind not in KIND_NAMES or size > MAX_OBJECT_BYTES:
            raise _damaged("it holds an impossible object")
        digest = sha256(b"%s %d\0" % (KIND_NAMES[kind].encode(), size))
        if data[at : at + 3] == _STORED and data[at + 3] | data[at + 4] << 8 == size:
            begin = at + _STORED_HEAD
            end = begin + size + _STORED_TAIL
            if end > len(data):
                return None
            digest.update(data[begin : begin + size])
            self._add(digest.digest(), self._offset + start, crc32(data[start:end]))
            return end
        self._object = _Object(self._offset + start, size, digest, crc32(data[start:at]))
        return at

    def _inflate(self, one: _Object, data: bytes, at: int) -> int | None:
        if at == len(data):
            return None
        try:
            part = one.inflater.decompress(memoryview(data)[at:], one.left + 1)
        except zlib.error as error:
            raise _damaged(str(error)) from error
        one.left -= len(part)
        one.digest.update(part)
        end = len(data) - len(one.inflater.unused_data) - len(one.inflater.unconsumed_tail)
        one.crc = crc32(memoryview(data)[at:end], one.crc)
        if one.left < 0 or (one.inflater.eof and one.left):
            raise _damaged("an object is not as long as it should be")
        if one.inflater.eof:
            self._object = None
            self._add(one.digest.digest(), one.start, one.crc)
        return end

    def _add(self, oid: bytes, offset: int, crc: int) -> None:
        self.entries[oid] = offset, crc
        self._count -= 1


def publish(git_dir: Path, pack: Path, indexer: PackIndexer) -> None:
    """Make a pack that lies among the packs under a temporary name part of a repository; one that is empty is left alone.

    Raises WorkspaceError when it is not what was sent.
    """
    index = pack.with_suffix(".idx")
    try:
        if indexer.deltas:
            checksum = _index_by_git(git_dir, pack, index)
        else:
            checksum = indexer.close()
            if not indexer.entries:
                return
            descriptor = os.open(index, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
            with os.fdopen(descriptor, "wb") as written:
                written.write(pack_index(indexer.entries, checksum))
        final = pack.with_name(f"pack-{checksum.hex()}.pack")
        pack.rename(final)
        index.rename(final.with_suffix(".idx"))
    finally:
        index.unlink(missing_ok=True)


def _index_by_git(git_dir: Path, pack: Path, index: Path) -> bytes:
    """Have git write the index of a pack with deltas; return the SHA-256 of the pack."""
    try:
        git.run(git_dir, "index-pack", "--no-rev-index", "-o", str(index), str(pack))
    except git.GitError as error:
        if error.failure in _OF_THIS_MACHINE:
            raise
        # What git says of a pack that ends early is what it says of a server that went away. The pack came as a whole.
        raise _damaged(str(error)) from error
    with pack.open("rb") as file:
        file.seek(-_TRAILER, os.SEEK_END)
        return file.read()


def _header(data: bytes, at: int) -> tuple[int, int, int] | None:
    """Return kind and size of an object and where its content begins; None when it is not clear yet what that is."""
    if len(data) < at + _LONGEST + 5:  # the trailer of the pack is longer than that
        return None
    byte = data[at]
    kind, size, shift = byte >> 4 & 7, byte & 15, 4
    last = at + _LONGEST
    while byte & 0x80:
        at += 1
        if at == last:
            raise _damaged("it holds an impossible object")
        byte = data[at]
        size |= (byte & 0x7F) << shift
        shift += 7
    return kind, size, at + 1


def _damaged(why: str) -> WorkspaceError:
    return WorkspaceError(f"the pack that came is damaged: {why}")
