"""Gives a pack that came from elsewhere its index.

git's own `index-pack` hashes everything twice with a SHA-256 that does not use what processors have for it; it is started
for packs with deltas only, which servers of ours do not send. Source of the format: git's `gitformat-pack`.
"""

from __future__ import annotations

import os
import zlib
from hashlib import sha256
from mmap import mmap
from pathlib import Path
from zlib import crc32

from flowbuild.core.errors import WorkspaceError
from flowbuild.workspace import git
from flowbuild.workspace.objects import KIND_NAMES, MAX_OBJECT_BYTES
from flowbuild.workspace.packfile import CorruptPack, map_file
from flowbuild.workspace.packs import pack_index

_HEADER, _TRAILER = 12, 32
_CHUNK = 1 << 16
_STORED = b"\x78\x01\x01"  # a zlib stream that is one stored block, see `packs`
_OFS_DELTA, _REF_DELTA = 6, 7


def publish(git_dir: Path, pack: Path) -> None:
    """Make a pack that lies in the directory of packs under a temporary name part of a repository; empty ones are dropped.

    Raises WorkspaceError when it is not what was sent.
    """
    try:
        with map_file(str(pack)) as content:
            entries, checksum = _entries(content), content[-_TRAILER:]
    except CorruptPack as error:
        raise WorkspaceError(f"the pack that came is damaged: {error}") from error
    if entries is not None and not entries:
        return
    final = pack.with_name(f"pack-{checksum.hex()}.pack")
    index = pack.with_suffix(".idx")
    try:
        if entries is None:
            git.run(git_dir, "index-pack", "--no-rev-index", "-o", str(index), str(pack))
        else:
            descriptor = os.open(index, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
            with os.fdopen(descriptor, "wb") as file:
                file.write(pack_index(entries, checksum))
        pack.rename(final)
        index.rename(final.with_suffix(".idx"))
    finally:
        index.unlink(missing_ok=True)


def _entries(pack: mmap) -> dict[bytes, tuple[int, int]] | None:
    """Return offset and CRC-32 of each object by its id; None when some are deltas. Raises CorruptPack."""
    found: dict[bytes, tuple[int, int]] = {}
    at, end = _HEADER, len(pack) - _TRAILER
    if end < _HEADER or pack[:8] != b"PACK\0\0\0\2":
        raise CorruptPack("it is no pack of version 2")
    with memoryview(pack) as view, view[:end] as content:
        if sha256(content).digest() != view[end:]:
            raise CorruptPack("its checksum is another one")
    for _ in range(int.from_bytes(pack[8:12], "big")):
        start = at
        try:
            byte = pack[at]
            kind, size, shift = byte >> 4 & 7, byte & 15, 4
            while byte & 0x80:
                at += 1
                byte = pack[at]
                size |= (byte & 0x7F) << shift
                shift += 7
        except IndexError as error:
            raise CorruptPack("it is cut short") from error
        if kind in (_OFS_DELTA, _REF_DELTA):
            return None
        if kind not in KIND_NAMES or size > MAX_OBJECT_BYTES:
            raise CorruptPack("it holds an impossible object")
        data, at = _content(pack, at + 1, size, end)
        digest = sha256(b"%s %d\0" % (KIND_NAMES[kind].encode(), size))
        digest.update(data)
        found[digest.digest()] = start, crc32(pack[start:at])
    if at != end:
        raise CorruptPack("something follows its last object")
    return found


def _content(pack: mmap, at: int, size: int, end: int) -> tuple[bytes, int]:
    """Return the content of an object and where the next one begins."""
    head = pack[at : at + 5]
    if head[:3] == _STORED and int.from_bytes(head[3:], "little") == size:
        start = at + 7
        if start + size + 4 > end:
            raise CorruptPack("it is cut short")
        return pack[start : start + size], start + size + 4
    inflater, parts, have = zlib.decompressobj(), list[bytes](), 0
    try:
        while not inflater.eof:
            if at >= end or have > size:
                raise CorruptPack("an object is not as long as it should be")
            chunk = pack[at : min(at + _CHUNK, end)]
            part = inflater.decompress(chunk, size - have + 1)
            at += len(chunk) - len(inflater.unconsumed_tail) - len(inflater.unused_data)
            have += len(part)
            parts.append(part)
    except zlib.error as error:
        raise CorruptPack(str(error)) from error
    if have != size:
        raise CorruptPack("an object is not as long as it should be")
    return b"".join(parts), at
