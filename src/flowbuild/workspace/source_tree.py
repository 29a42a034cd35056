"""Stores the files of a source as the first workspace of a run: trees, metadata, large files, and a small `.git`."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flowbuild.workspace import sidecar
from flowbuild.workspace.escape import escape
from flowbuild.workspace.lfs import LfsStore, Pointer, data_pieces, parse_pointer
from flowbuild.workspace.objects import EXECUTABLE_MODE, FILE_MODE, SYMLINK_MODE, TREE_MODE, TreeEntry
from flowbuild.workspace.packs import PackWriter
from flowbuild.workspace.sidecar import SELF, Meta, Node
from flowbuild.workspace.snapshot import Options
from flowbuild.workspace.source import MadeFile, Source

_LARGE = Options().large_bytes


@dataclass(frozen=True, slots=True)
class StoredSource:
    """The tree and metadata of a workspace, and the tree paths of its LFS objects."""

    tree: bytes
    meta: bytes
    lfs: tuple[bytes, ...]


class _Directory:
    """A directory that is being collected: entries of the tree, metadata, sub-directories by name."""

    def __init__(self, meta: Meta) -> None:
        self.meta = meta
        self.entries: list[TreeEntry] = []
        self.metas: dict[bytes, Meta] = {}
        self.below: dict[bytes, _Directory] = {}


def store_source(source: Source | None, writer: PackWriter, lfs: LfsStore) -> StoredSource:
    """Add everything that belongs to the source to the pack and the large file store; None is an empty workspace.

    Files that vanish meanwhile are left out. Raises OSError when one cannot be read.
    """
    if source is None:
        return _Store(b"", writer, lfs).finish()
    store = _Store(b"" if source.directory is None else os.fsencode(source.directory), writer, lfs)
    for path in source.paths() if source.directory is not None else ():
        with contextlib.suppress(FileNotFoundError):
            store.file(path)
    for file in source.made():
        store.made(file)
    return store.finish()


class _Store:
    """Collects the directories of one source."""

    def __init__(self, top: bytes, writer: PackWriter, lfs: LfsStore) -> None:
        self._top = top
        self._writer = writer
        self._lfs = lfs
        self._large: list[bytes] = []
        # The workspace itself belongs to whoever owns the source, at a time that does not depend on when it was stored.
        self._root = _Directory(_meta(os.lstat(top)) if top else Meta(stat.S_IFDIR | 0o755, 0, (0, 0)))

    def file(self, path: bytes) -> None:
        """Add a file or symbolic link of the source."""
        full = self._top + b"/" + path
        found = os.lstat(full)
        if stat.S_ISLNK(found.st_mode):
            self._put(path, SYMLINK_MODE, os.readlink(full), _meta(found))  # noqa: PTH115 - bytes in, bytes out
            return
        descriptor = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as opened:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                return
            mode = EXECUTABLE_MODE if found.st_mode & 0o100 else FILE_MODE
            meta = _meta(found)
            if found.st_size >= _LARGE:
                pieces = data_pieces(descriptor, found.st_size)
                self._pointer(path, mode, self._lfs.put(descriptor, found.st_size, pieces), meta._replace(data=pieces))
            else:
                self._data(path, mode, opened.read(), meta)

    def made(self, file: MadeFile) -> None:
        """Add what is not on disk where it belongs."""
        path, mode, mtime_ns, content = file
        owner = self._root.meta.owner
        if content is None:
            self._directory(path).meta = Meta(stat.S_IFDIR | 0o755, mtime_ns, owner)
        elif mode == SYMLINK_MODE:
            self._put(path, SYMLINK_MODE, _bytes(content), Meta(stat.S_IFLNK | 0o777, mtime_ns, owner))
        else:
            executable = mode == EXECUTABLE_MODE
            meta = Meta(stat.S_IFREG | (0o755 if executable else 0o644), mtime_ns, owner)
            kept = EXECUTABLE_MODE if executable else FILE_MODE  # histories hold 100664, too
            if isinstance(content, Path) and (size := content.stat().st_size) >= _LARGE:
                with content.open("rb") as opened:
                    self._pointer(path, kept, self._lfs.put(opened.fileno(), size), meta)
            else:
                self._data(path, kept, _bytes(content), meta)

    def finish(self) -> StoredSource:
        """Add the trees; return where everything is."""
        tree, meta = self._close(self._root, top=True)
        return StoredSource(tree, meta.oid, tuple(sorted(self._large)))

    def _data(self, path: bytes, mode: int, data: bytes, meta: Meta) -> None:
        # Every blob that reads as a pointer is one, so a file that looks like a pointer is stored behind one.
        if len(data) >= _LARGE or parse_pointer(data) is not None:
            self._pointer(path, mode, self._lfs.put_bytes(data), meta)
        else:
            self._put(path, mode, data, meta)

    def _pointer(self, path: bytes, mode: int, pointer: Pointer, meta: Meta) -> None:
        self._large.append(b"/".join(map(escape, path.split(b"/"))))
        self._put(path, mode, pointer.blob(), meta)

    def _put(self, path: bytes, mode: int, data: bytes, meta: Meta) -> None:
        parent, _, name = path.rpartition(b"/")
        directory = self._directory(parent)
        directory.entries.append(TreeEntry(mode, escape(name), self._writer.add("blob", data)))
        directory.metas[name] = meta

    def _directory(self, path: bytes) -> _Directory:
        here = self._root
        for name, full in _steps(path):
            if name not in here.below:
                meta = Meta(stat.S_IFDIR | 0o755, self._root.meta.mtime_ns, self._root.meta.owner)
                with contextlib.suppress(OSError):
                    found = os.lstat(self._top + b"/" + full) if self._top else None
                    if found and stat.S_ISDIR(found.st_mode) and not full.startswith(b".git"):
                        meta = _meta(found)
                here.below[name] = _Directory(meta)
            here = here.below[name]
        return here

    def _close(self, directory: _Directory, *, top: bool = False) -> tuple[bytes, Node]:
        entries, children = list(directory.entries), {}
        for name, below in directory.below.items():
            tree, node = self._close(below)
            entries.append(TreeEntry(TREE_MODE, escape(name), tree))
            children[escape(name)] = node
        blob = sidecar.write({SELF: directory.meta, **directory.metas})
        return self._writer.add_tree(entries), sidecar.store(self._writer, blob, children, top=top)


def _steps(path: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield each name of a path with the path up to it; nothing for an empty one."""
    names = path.split(b"/") if path else []
    for number, name in enumerate(names):
        yield name, b"/".join(names[: number + 1])


def _bytes(content: bytes | Path) -> bytes:
    return content if isinstance(content, bytes) else content.read_bytes()


def _meta(found: os.stat_result) -> Meta:
    return Meta(found.st_mode, found.st_mtime_ns, (found.st_uid, found.st_gid))
