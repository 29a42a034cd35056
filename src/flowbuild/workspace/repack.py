"""Puts the many small packs of a run repository together: every step adds one, and every look-up asks them all.

Objects are copied as they are, uncompressed, by our own writer: git's repacking would make deltas, which cost more to
read on the hot path than the bytes they save.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from flowbuild.workspace.durable import Syncer
from flowbuild.workspace.objects import OID_BYTES, ObjectDatabase
from flowbuild.workspace.packs import PackWriter

SMALL = 32 << 20  # bytes; larger packs are left alone, so that the cost does not grow with the history
_TABLE = 8 + 256 * 4


def repack(
    git_dir: Path, db: ObjectDatabase, exclusive: Callable[[], AbstractContextManager[None]], *, at_least: int
) -> bool:
    """Copy all small packs into one and remove them; False when there are fewer than `at_least`.

    The new pack is on the disk before anything is removed, and the index goes first, so readers never see an index
    without its pack; a reader that misses an object looks for new packs. `exclusive` keeps forks out of the removal.
    """
    small = [pack for pack in (git_dir / "objects" / "pack").glob("pack-*.pack") if _is_small(pack)]
    if len(small) < at_least:
        return False
    db.refresh()
    with PackWriter(git_dir) as writer:
        for pack in small:
            for oid in _ids(pack.with_suffix(".idx").read_bytes()):
                if oid not in writer:
                    writer.add(*db.read(oid))
        made = writer.close()
    if made is None:
        return False
    Syncer(git_dir).sync([made, made.with_suffix(".idx")])
    with exclusive():
        for pack in small:
            if pack != made:
                pack.with_suffix(".idx").unlink(missing_ok=True)
                pack.unlink(missing_ok=True)
    db.refresh()
    return True


def _is_small(pack: Path) -> bool:
    return pack.with_suffix(".idx").exists() and pack.stat().st_size < SMALL


def _ids(index: bytes) -> Iterator[bytes]:
    """Yield the object ids of a version 2 pack index."""
    (count,) = struct.unpack_from(">I", index, 8 + 255 * 4)
    for number in range(count):
        at = _TABLE + number * OID_BYTES
        yield index[at : at + OID_BYTES]
