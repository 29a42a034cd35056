"""Stores a directory tree in the run repository: content as git trees, the rest as a metadata sidecar beside it.

Two trees come out, so that a cache key can be the first alone: `tree` holds content, names (see `escape`) and the
executable bit; `meta` holds what git has no place for (see `sidecar`). Files of 1 MiB and more become git-lfs pointers.
Nothing in the directory is believed or executed: no git process, no attributes, no links followed.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from flowbuild.core.errors import WorkspaceError
from flowbuild.workspace import sidecar, statcache
from flowbuild.workspace.dirs import Descent
from flowbuild.workspace.escape import escape
from flowbuild.workspace.files import Content, kept_xattrs, open_to_read, read_file, read_plain, unreadable, untouched
from flowbuild.workspace.lfs import LfsStore, Pointer
from flowbuild.workspace.packs import PackWriter
from flowbuild.workspace.sidecar import Node
from flowbuild.workspace.statcache import DirectoryEntry, FileEntry, StatCache, file_entry

_THREADS = min(4, os.cpu_count() or 1)
_IN_FLIGHT = 16  # large files open at once
_SETID = stat.S_ISUID | stat.S_ISGID


@dataclass(frozen=True, slots=True)
class Options:
    """What a snapshot carries. `setid=False` strips set-user-ID, set-group-ID and capabilities (untrusted runs)."""

    large_bytes: int = 1 << 20
    setid: bool = True
    owners: bool = True
    max_entries: int = 10_000_000


@dataclass(frozen=True, slots=True)
class Dropped:
    """Something that is not carried on: path relative to the workspace, raw, and why. Goes to the step's log."""

    path: bytes
    why: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was stored. `large` has the *stored* path of every large file, which is what `.gitattributes` must name."""

    tree: bytes
    meta: bytes
    dropped: tuple[Dropped, ...]
    files: int
    hashed: int
    large: dict[bytes, Pointer]


@dataclass(slots=True)
class _Visit:
    """One directory that was looked at: its new entry, the remembered one, and what is never remembered."""

    entry: DirectoryEntry
    old: DirectoryEntry | None
    path: bytes  # raw, relative, ends in "/" unless empty
    stored: bytes  # the same with escaped names
    found: os.stat_result
    fields: bytes
    same: bool = True  # every file was remembered
    clean: bool = True  # nothing here needs another look next time
    links: dict[bytes, bytes] = field(default_factory=dict)  # raw name -> hard link group
    fifos: dict[str, FileEntry] = field(default_factory=dict)  # without an object


def snapshot(
    directory: Path, writer: PackWriter, *, lfs: LfsStore, cache: StatCache, options: Options | None = None
) -> Snapshot:
    """Store `directory` through `writer`; the caller closes it, and only then is anything visible.

    `cache` is used only when the trees it speaks of are known to the writer, and is brought up to date. Reads only what
    changed. Raises WorkspaceError when a file cannot be read, keeps changing, or a limit is exceeded.
    """
    with _told(directory) as where:
        return _Walk(writer, lfs, cache, options or Options(), where).run(directory)


@contextmanager
def _told(directory: Path) -> Iterator[list[bytes]]:
    """Turn errors into one WorkspaceError that names the path; the body keeps the path in the list it gets."""
    where = [b""]
    try:
        yield where
    except PermissionError as error:
        path = directory / os.fsdecode(where[0])
        with suppress(OSError):
            raise unreadable(str(path), path.lstat()) from error
        raise unreadable(str(path), None) from error
    except OSError as error:
        path = directory / os.fsdecode(where[0])
        hint = "Something of the step is still running: stop it first." if isinstance(error, FileNotFoundError) else ""
        raise WorkspaceError(f"Cannot store {path}: {error.strerror}", hint=hint) from error
    except WorkspaceError as error:
        path = directory / os.fsdecode(where[0])
        raise type(error)(f"Cannot store {path}: {error.message}", hint=error.hint) from error


class _Walk:
    def __init__(
        self, writer: PackWriter, lfs: LfsStore, cache: StatCache, options: Options, where: list[bytes]
    ) -> None:
        self.writer, self.lfs, self.cache, self.options, self.where = writer, lfs, cache, options, where
        self.dropped: list[Dropped] = []
        self.groups: dict[tuple[int, int], bytes] = {}
        self.files = self.hashed = 0
        self.large: dict[bytes, Pointer] = {}
        self.pending: list[tuple[_Visit, str, Future[Content]]] = []
        self.pool: ThreadPoolExecutor | None = None
        self.slots = threading.Semaphore(_IN_FLIGHT)

    def run(self, directory: Path) -> Snapshot:
        cache, profile = self.cache, repr(self.options)
        horizon_ns = statcache.horizon()
        old = cache.root
        usable = old is not None and old.meta is not None and old.tree in self.writer and old.meta.oid in self.writer
        if not usable or cache.profile != profile:
            old = None
        try:
            visits = self._visit_all(directory, old)
            for visit, name, future in self.pending:
                self.where[0] = visit.path + os.fsencode(name)
                self._keep(visit, name, future.result())
        finally:
            if self.pool is not None:
                self.pool.shutdown(cancel_futures=True)
        self.where[0] = b""
        for visit in reversed(visits):  # children before parents
            self._finish(visit, top=visit is visits[0])
        root = visits[0].entry
        cache.root, cache.horizon_ns, cache.profile = root, horizon_ns, profile
        assert root.meta is not None  # noqa: S101 - for the type checker: _finish sets it
        dropped = tuple(sorted(self.dropped, key=lambda lost: lost.path))
        return Snapshot(root.tree, root.meta.oid, dropped, self.files, self.hashed, self.large)

    def _visit_all(self, directory: Path, old: DirectoryEntry | None) -> list[_Visit]:
        """Look at every directory, parents first; read and add what changed."""
        with Descent(directory) as descent:
            self.device = os.fstat(descent.fd).st_dev
            top = self._visit(descent.fd, DirectoryEntry(), old, b"", b"")
            visits = [top]
            ways = [iter(list(top.entry.directories.items()))]
            parents = [top]
            while ways:
                step = next(ways[-1], None)
                if step is None:
                    ways.pop()
                    parents.pop()
                    if ways:
                        descent.up()
                    continue
                (name, entry), parent = step, parents[-1]
                raw = os.fsencode(name)
                self.where[0] = path = parent.path + raw + b"/"
                known = parent.old.directories.get(name) if parent.old else None
                visit = self._visit(descent.down(raw), entry, known, path, parent.stored + escape(raw) + b"/")
                visits.append(visit)
                parents.append(visit)
                ways.append(iter(list(entry.directories.items())))
        return visits

    def _visit(self, fd: int, entry: DirectoryEntry, old: DirectoryEntry | None, path: bytes, stored: bytes) -> _Visit:
        xattrs, has_acl = kept_xattrs(fd, setid=self.options.setid)
        visit = _Visit(entry, old, path, stored, os.fstat(fd), sidecar.content_fields(xattrs, None))
        if has_acl:
            self._drop(visit, path, "access control lists are not carried")
        known, horizon_ns = (old.files, self.cache.horizon_ns) if old else ({}, 0)
        files, settled, add = entry.files, statcache.settled, self.writer.add
        large_bytes, hashed, name = self.options.large_bytes, 0, ""
        try:
            with os.scandir(fd) as listing:
                for item in listing:
                    name, found = item.name, item.stat(follow_symlinks=False)
                    seen = known.get(name)
                    if (
                        seen is not None
                        and seen[0] == found.st_ctime_ns  # by position: names cost more here
                        and seen[1] == found.st_mtime_ns
                        and seen[2] == found.st_ino
                        and seen[3] == found.st_size
                        and seen[4] == found.st_mode
                        and settled(seen[0], horizon_ns)
                        and (not seen[9] or self.lfs.has(Pointer(seen[9], found.st_size)))
                    ):
                        files[name] = seen
                        if found.st_nlink > 1:
                            self._link(visit, name, found)
                    elif (data := read_plain(name, fd, found, large_bytes)) is not None:
                        files[name] = file_entry(found, add("blob", data))
                        hashed += 1
                    else:
                        self._look(visit, fd, name, found)
        except (OSError, WorkspaceError):
            self.where[0] = path + os.fsencode(name)
            raise
        if hashed:
            visit.same = False
            self.hashed += hashed
        self.files += len(files)
        if self.files > self.options.max_entries:
            raise WorkspaceError(f"The workspace holds more than {self.options.max_entries} files")
        return visit

    def _link(self, visit: _Visit, name: str, found: os.stat_result) -> None:
        """Note one name of a file with several; the group is never remembered: renaming a directory can change it."""
        raw = os.fsencode(name)
        visit.links[raw] = self.groups.setdefault((found.st_dev, found.st_ino), visit.path + raw)
        visit.clean = visit.same = False

    def _look(self, visit: _Visit, fd: int, name: str, found: os.stat_result) -> None:
        """Take in one entry that is not remembered as it is."""
        kind = stat.S_IFMT(found.st_mode)
        if kind == stat.S_IFDIR:
            if found.st_dev == self.device:
                visit.entry.directories[name] = DirectoryEntry()
            else:
                self._drop(visit, visit.path + os.fsencode(name), "another file system is mounted here")
            return
        visit.same = False
        if kind in {stat.S_IFREG, stat.S_IFLNK}:
            if found.st_nlink > 1:
                self._link(visit, name, found)
            if kind == stat.S_IFLNK:
                self._keep(visit, name, _read_link(name, fd, found))
            else:
                self._read(visit, fd, name, found)
        elif kind == stat.S_IFIFO:
            visit.fifos[name] = file_entry(found, b"")
            visit.clean = False
        else:
            what: Literal["sockets", "device files"] = "sockets" if kind == stat.S_IFSOCK else "device files"
            self._drop(visit, visit.path + os.fsencode(name), f"{what} are not carried")

    def _read(self, visit: _Visit, fd: int, name: str, found: os.stat_result) -> None:
        options = self.options
        handle = open_to_read(name, fd)
        if found.st_size < options.large_bytes:
            content = read_file(handle, found, options.large_bytes, setid=options.setid, store=self.lfs)
            self._keep(visit, name, content)
            return

        def job() -> Content:
            try:
                return read_file(handle, found, options.large_bytes, setid=options.setid, store=self.lfs)
            finally:
                self.slots.release()

        if self.pool is None:
            self.pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="large-files")
        self.slots.acquire()
        self.pending.append((visit, name, self.pool.submit(job)))

    def _keep(self, visit: _Visit, name: str, content: Content) -> None:
        self.hashed += 1
        oid = self.writer.add("blob", content.blob)
        large = content.pointer.oid if content.pointer else ""
        visit.entry.files[name] = file_entry(content.found, oid, content.fields, large)
        if content.has_acl:
            self._drop(visit, visit.path + os.fsencode(name), "access control lists are not carried")

    def _drop(self, visit: _Visit, path: bytes, why: str) -> None:
        visit.clean = visit.same = False
        self.dropped.append(Dropped(path.rstrip(b"/"), why))

    def _finish(self, visit: _Visit, *, top: bool) -> None:
        """Make the two objects of a directory whose children have theirs, or take the remembered ones."""
        entry, old, found = visit.entry, visit.old, visit.found
        for name, file in entry.files.items():
            if file.large:
                self.large[visit.stored + escape(os.fsencode(name))] = Pointer(file.large, file.size)
        owner = (found.st_uid, found.st_gid) if self.options.owners else (0, 0)
        entry.header = b"%d %d %d %d %s" % (self._mode(found.st_mode), *owner, found.st_mtime_ns, visit.fields)
        entry.clean = visit.clean
        if old is not None and visit.same and old.clean and entry.header == old.header and _same_names(entry, old):
            entry.tree, entry.meta = old.tree, old.meta
            return
        rows = [(os.fsencode(name), file) for name, file in {**entry.files, **visit.fifos}.items()]
        rows.sort()
        children = {escape(os.fsencode(name)): child for name, child in entry.directories.items()}
        entry.tree = self.writer.add("tree", _tree(rows, children))
        nodes = {stored: _node(child) for stored, child in children.items()}
        entry.meta = sidecar.store(self.writer, self._meta(visit, rows, owner), nodes, top=top)

    def _meta(self, visit: _Visit, rows: list[tuple[bytes, FileEntry]], owner: tuple[int, int]) -> bytes:
        found, fields, links = visit.found, dict[int, bytes](), visit.links
        names, mtimes, modes = [sidecar.SELF], [found.st_mtime_ns], [found.st_mode]
        if visit.fields:
            fields[0] = visit.fields
        for index, (raw, (_, mtime_ns, _, _, mode, uid, gid, _, extra, _)) in enumerate(rows, 1):
            names.append(raw)
            mtimes.append(mtime_ns)
            modes.append(mode)
            more = extra + sidecar.link_field(links[raw]) if raw in links else extra
            if (uid, gid) != owner and self.options.owners:
                more += sidecar.owner_field((uid, gid))
            if more:
                fields[index] = more
        if not self.options.setid:
            modes = [mode & ~_SETID for mode in modes]
        return sidecar.encode(names, mtimes, modes, owner, fields)

    def _mode(self, mode: int) -> int:
        return mode if self.options.setid else mode & ~_SETID


def _tree(rows: list[tuple[bytes, FileEntry]], children: dict[bytes, DirectoryEntry]) -> bytes:
    lines = []
    for raw, (_, _, _, _, mode, _, _, oid, _, _) in rows:
        if oid:  # else a FIFO
            stored = escape(raw)
            kind = b"100755" if mode & 0o100 else b"100644"
            lines.append((stored, b"%s %s\0%s" % (b"120000" if stat.S_ISLNK(mode) else kind, stored, oid)))
    lines += [(stored + b"/", b"40000 %s\0%s" % (stored, child.tree)) for stored, child in children.items()]
    lines.sort()
    return b"".join([line for _, line in lines])


def _node(entry: DirectoryEntry) -> Node:
    assert entry.meta is not None  # noqa: S101 - children are finished before their parents
    return entry.meta


def _same_names(entry: DirectoryEntry, old: DirectoryEntry) -> bool:
    """Tell whether a directory whose files were all remembered lost nothing, and whether its children are the same."""
    if len(entry.files) != len(old.files) or entry.directories.keys() != old.directories.keys():
        return False
    return all(
        child.tree == old.directories[name].tree and child.meta == old.directories[name].meta
        for name, child in entry.directories.items()
    )


def _read_link(name: str, fd: int, before: os.stat_result) -> Content:
    target = os.fsencode(os.readlink(name, dir_fd=fd))
    after = os.stat(name, dir_fd=fd, follow_symlinks=False)
    if not untouched(before, after):
        raise WorkspaceError(
            "The link changed while it was read", hint="Something of the step is still running: stop it first."
        )
    return Content(target, b"", None, after)
