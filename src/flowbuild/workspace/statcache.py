"""Remembers what a directory tree looked like, so that the next snapshot reads only what changed.

A file is taken as unchanged when change time, inode, size, modification time and type are the ones seen before: no
program can set the change time. One case remains, known as the racy one: a write within the same tick of the kernel's
clock as the look before it leaves no trace. Therefore every cache has a horizon, a moment at which nobody wrote, and
entries whose change time is not clearly before it are read again. The horizon is taken from the clock the kernel itself
stamps files with; file systems that keep whole seconds only get a wider margin.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from flowbuild.workspace.sidecar import Node

_CLOCK_REALTIME_COARSE = 5  # linux/time.h; Python has no name for it
_MARGIN_NS = 20_000_000  # two ticks of the slowest kernels (HZ=100)
_COARSE_MARGIN_NS = 2_100_000_000  # file systems that keep whole seconds, or two
_SECOND_NS = 1_000_000_000


class FileEntry(NamedTuple):
    """One file or symbolic link as it was last seen, and where its content went."""

    ctime_ns: int
    mtime_ns: int
    inode: int
    size: int
    mode: int  # st_mode
    uid: int
    gid: int
    oid: bytes  # blob in the repository (a pointer blob for large files)
    fields: bytes  # sidecar fields: extended attributes, pieces of a sparse file
    large: str  # SHA-256 of a large file, empty for the others


class DirectoryEntry:
    """One directory: its files, sub-directories by name, and the objects that were made of it."""

    __slots__ = ("clean", "directories", "files", "header", "meta", "tree")

    def __init__(self) -> None:
        self.files: dict[str, FileEntry] = {}
        self.directories: dict[str, DirectoryEntry] = {}
        self.header: bytes = b""  # the directory's own metadata, encoded
        self.tree: bytes = b""
        self.meta: Node | None = None
        self.clean = False  # holds nothing that must be looked at again each time (hard links, FIFOs, dropped files)


class StatCache:
    """What one directory held when it was last stored or made. Empty at first; useless caches only cost time."""

    def __init__(self) -> None:
        self.root: DirectoryEntry | None = None
        self.horizon_ns = 0
        self.profile = ""  # the options under which the entries were made

    def clear(self) -> None:
        """Forget everything."""
        self.root, self.horizon_ns, self.profile = None, 0, ""


def horizon() -> int:
    """Return the kernel's own file clock, in ns since the epoch: take it when nobody writes, before looking at files."""
    return time.clock_gettime_ns(_CLOCK_REALTIME_COARSE) - _MARGIN_NS


def settled(ctime_ns: int, horizon_ns: int) -> bool:
    """Tell whether a change after the horizon is bound to show in the change time."""
    if ctime_ns % _SECOND_NS == 0:
        return ctime_ns < horizon_ns - _COARSE_MARGIN_NS
    return ctime_ns < horizon_ns


def file_entry(found: os.stat_result, oid: bytes, fields: bytes = b"", large: str = "") -> FileEntry:
    """Return the entry for a file that was just read or written."""
    return FileEntry(
        found.st_ctime_ns,
        found.st_mtime_ns,
        found.st_ino,
        found.st_size,
        found.st_mode,
        found.st_uid,
        found.st_gid,
        oid,
        fields,
        large,
    )
