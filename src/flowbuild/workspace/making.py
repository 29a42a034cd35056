"""Creates single entries of a workspace from stored objects, with their metadata; used by `materialise`."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from flowbuild.core.errors import WorkspaceError
from flowbuild.workspace import lfs, sidecar
from flowbuild.workspace.dirs import DIRECTORY
from flowbuild.workspace.escape import unescape
from flowbuild.workspace.files import kept_xattrs, open_to_read
from flowbuild.workspace.lfs import LfsStore
from flowbuild.workspace.objects import EXECUTABLE_MODE, FILE_MODE, SYMLINK_MODE, TREE_MODE, ObjectDatabase, TreeEntry
from flowbuild.workspace.sidecar import Columns, Meta, Node
from flowbuild.workspace.snapshot import Dropped, Options
from flowbuild.workspace.statcache import DirectoryEntry, file_entry

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SETID = stat.S_ISUID | stat.S_ISGID
_MODES = frozenset({TREE_MODE, FILE_MODE, EXECUTABLE_MODE, SYMLINK_MODE})


@dataclass(slots=True)
class Listing:
    """A stored directory: entries by real name, and its metadata as columns (None when it has none)."""

    tree: bytes
    node: Node | None
    entries: dict[bytes, TreeEntry]
    nodes: dict[bytes, Node]  # metadata of sub-directories by real name
    columns: Columns | None
    index: dict[bytes, int]  # name -> position in `columns`
    files: int  # entries that are not directories
    regular: bool  # the metadata speaks of exactly these files, and of nothing that is looked at again each time

    def meta(self, name: bytes) -> Meta | None:
        """Return the metadata of one entry."""
        position = self.index.get(name)
        return None if position is None or self.columns is None else self.columns.meta(position)

    def own(self) -> Meta | None:
        """Return the metadata of the directory itself."""
        return self.columns.meta(0) if self.columns else None

    def fifos(self) -> Iterator[tuple[bytes, Meta]]:
        """Yield the FIFOs, which exist in the metadata only."""
        if self.columns is not None and not self.regular:
            for name, position in self.index.items():
                if stat.S_ISFIFO(self.columns.modes[position]) and name not in self.entries and name != b".":
                    yield name, self.columns.meta(position)

    def fifo(self, name: bytes) -> Meta | None:
        """Return the metadata of one FIFO."""
        return next((meta for found, meta in self.fifos() if found == name), None)


def listing_of(db: ObjectDatabase, tree: bytes, node: Node | None) -> Listing:
    """Read one directory; raises WorkspaceError for entries that no workspace has."""
    found = db.tree(tree)
    entries = {unescape(entry.name): entry for entry in found}
    if len(entries) != len(found):
        raise WorkspaceError("The tree holds a name twice")
    modes = [entry.mode for entry in found]
    if not _MODES.issuperset(modes):
        odd = next(entry for entry in found if entry.mode not in _MODES)
        raise WorkspaceError(f"The tree holds {odd.name!r} of type {odd.mode:o}, which no workspace has")
    files = len(modes) - modes.count(TREE_MODE)
    if node is None:
        return Listing(tree, None, entries, {}, None, {}, files, regular=False)
    blob, children = sidecar.load(db, node)
    columns = sidecar.decode(blob)
    index = {name: position for position, name in enumerate(columns.names)}
    nodes = {name: children[entry.name] for name, entry in entries.items() if entry.name in children}
    regular = len(index) == len(columns.names) == files + 1 and not any(map(stat.S_ISFIFO, columns.modes))
    if b"" in index or b".." in index or b"/" in b"".join(index):
        raise WorkspaceError(f"The metadata of a directory speaks of an impossible name: {list(index)!r:.200}")
    return Listing(tree, node, entries, nodes, columns, index, files, regular)


@dataclass(slots=True)
class Place:
    """An open directory in which entries are made: what it shall hold, its path for messages, its part of the cache."""

    fd: int
    path: bytes  # relative to the workspace, empty or ending in "/"
    listing: Listing
    cache: DirectoryEntry


@dataclass(slots=True)
class _Group:
    """A hard link group: where its first name is, and all entries of the cache that share its state."""

    path: bytes
    members: list[tuple[DirectoryEntry, str]] = field(default_factory=list)


class Maker:
    """Creates entries. `top` is the descriptor of the workspace; `lost` collects what could not be restored."""

    def __init__(self, db: ObjectDatabase, store: LfsStore, options: Options, where: list[bytes]) -> None:
        self.db, self.store, self.options, self.where = db, store, options, where
        self.is_root = os.geteuid() == 0
        self.top = -1
        self.lost: list[Dropped] = []
        self.groups: dict[tuple[bytes, bytes, int], _Group] = {}

    def make(self, place: Place, name: bytes, entry: TreeEntry) -> None:
        """Create one file or link where nothing is, with its metadata, and remember it."""
        self.where[0] = place.path + name
        meta = place.listing.meta(name)
        if meta is not None and meta.link and self._linked(place, name, entry, meta):
            return
        if entry.mode == SYMLINK_MODE:
            self._symlink(place, name, entry, meta)
        else:
            self._file(place, name, entry, meta)
        if meta is not None and meta.link:
            group = self.groups.setdefault((meta.link, entry.oid, entry.mode), _Group(place.path + name))
            group.members.append((place.cache, os.fsdecode(name)))

    def make_all(self, place: Place) -> None:
        """Create all files and links of a directory, the plain ones in one tight loop: the hot path of a restore."""
        listing, columns, files, large_bytes = (
            place.listing,
            place.listing.columns,
            place.cache.files,
            self.options.large_bytes,
        )
        special = columns is None or self._other_owner(place.fd, columns.owner)
        name = b""
        try:
            for name, entry in listing.entries.items():
                if entry.mode == TREE_MODE:
                    continue
                position = listing.index.get(name)
                if (
                    special
                    or columns is None
                    or position is None
                    or position in columns.fields
                    or entry.mode == SYMLINK_MODE
                ):
                    self.make(place, name, entry)
                    continue
                mode, mtime_ns = columns.modes[position] & 0o7777, columns.mtimes[position]
                data = self.db.blob(entry.oid)
                size = len(data)
                plain = mode <= 0o777 and bool(mode & 0o100) == (entry.mode == EXECUTABLE_MODE)
                if not plain or size >= large_bytes or data.startswith(b"version "):
                    self.make(place, name, entry)
                    continue
                handle = os.open(name, _CREATE, mode, dir_fd=place.fd)
                try:
                    if os.write(handle, data) != size:
                        raise WorkspaceError("The file was written in part only")
                    os.utime(handle, ns=(mtime_ns, mtime_ns))
                    found = os.fstat(handle)
                    if found.st_mode & 0o7777 != mode:  # the umask
                        os.fchmod(handle, mode)
                        found = os.fstat(handle)
                finally:
                    os.close(handle)
                files[os.fsdecode(name)] = file_entry(found, entry.oid)
        except (OSError, WorkspaceError):
            self.where[0] = place.path + name
            raise

    def _other_owner(self, fd: int, owner: tuple[int, int]) -> bool:
        """Tell whether files made in this directory would not get that owner by themselves, as far as it matters."""
        if not (self.is_root and self.options.owners):
            return False
        directory = os.fstat(fd)
        group = directory.st_gid if directory.st_mode & stat.S_ISGID else os.getegid()
        return owner != (os.geteuid(), group)

    def _file(self, place: Place, name: bytes, entry: TreeEntry, meta: Meta | None) -> None:
        executable = entry.mode == EXECUTABLE_MODE
        blob = self.db.blob(entry.oid)
        pointer = lfs.parse_pointer(blob) if len(blob) <= lfs.POINTER_MAX else None
        mode = 0o755 if executable else 0o644
        if meta is not None:
            mode = _mode(meta, executable=executable, setid=self.options.setid)
        handle = os.open(name, _CREATE, mode & 0o777, dir_fd=place.fd)
        try:
            fields = b""
            if pointer is not None:
                self.store.restore(pointer, handle, meta.data if meta else None)
            elif meta is not None and meta.data is not None:
                _write_pieces(handle, blob, meta.data)
            else:
                _write(handle, blob)
            if meta is not None:
                if meta.xattrs or meta.data is not None:
                    fields = self._extras(handle, meta, place.path + name, pointer.size if pointer else len(blob))
                os.utime(handle, ns=(meta.mtime_ns, meta.mtime_ns))
            found = os.fstat(handle)
            if (found.st_mode & 0o7777) != mode or (meta is not None and self._foreign(found, meta)):
                found = self._settle(handle, mode, meta, place.path + name)
        finally:
            os.close(handle)
        size = found.st_size
        if (pointer is None) == (size < self.options.large_bytes):  # else the next snapshot would store it differently
            large = pointer.oid if pointer else ""
            place.cache.files[os.fsdecode(name)] = file_entry(found, entry.oid, fields, large)

    def _foreign(self, found: os.stat_result, meta: Meta) -> bool:
        return self.is_root and self.options.owners and (found.st_uid, found.st_gid) != meta.owner

    def _settle(self, handle: int, mode: int, meta: Meta | None, path: bytes) -> os.stat_result:
        """Set owner and permissions that creation did not give; the order matters: chown clears set-user-ID."""
        if meta is not None and self._foreign(os.fstat(handle), meta):
            os.fchown(handle, *meta.owner)
            if any(name == b"security.capability" for name, _ in meta.xattrs):
                self.set_xattrs(handle, meta, path)
        os.fchmod(handle, mode)
        return os.fstat(handle)

    def _extras(self, handle: int, meta: Meta, path: bytes, size: int) -> bytes:
        self.set_xattrs(handle, meta, path)
        kept, _ = kept_xattrs(handle, setid=self.options.setid)
        pieces = lfs.data_pieces(handle, size) if meta.data is not None else None
        return sidecar.content_fields(kept, pieces)

    def set_xattrs(self, handle: int, meta: Meta, path: bytes) -> None:
        """Set the carried extended attributes of an open file or directory; note those the file system refuses."""
        for name, value in meta.xattrs:
            if not name.startswith(b"user.") and not (name == b"security.capability" and self.options.setid):
                continue
            try:
                os.setxattr(handle, name, value)
            except OSError as error:
                if error.errno not in {errno.ENOTSUP, errno.EPERM, errno.ENOSPC, errno.E2BIG}:
                    raise
                self.lost.append(Dropped(path, f"extended attribute {os.fsdecode(name)}: {error.strerror}"))

    def _symlink(self, place: Place, name: bytes, entry: TreeEntry, meta: Meta | None) -> None:
        target = self.db.blob(entry.oid)
        if not target or b"\0" in target:
            raise WorkspaceError("The tree holds a symbolic link without a possible target")
        os.symlink(target, name, dir_fd=place.fd)
        if meta is not None:
            if self.is_root and self.options.owners:
                os.chown(name, *meta.owner, dir_fd=place.fd, follow_symlinks=False)
            os.utime(name, ns=(meta.mtime_ns, meta.mtime_ns), dir_fd=place.fd, follow_symlinks=False)
        self._remember(place, name, entry.oid)

    def _remember(self, place: Place, name: bytes, oid: bytes) -> None:
        found = os.stat(name, dir_fd=place.fd, follow_symlinks=False)
        place.cache.files[os.fsdecode(name)] = file_entry(found, oid)

    def fifo(self, fd: int, name: bytes, meta: Meta) -> None:
        """Create a FIFO."""
        os.mkfifo(name, 0o600, dir_fd=fd)
        if self.is_root and self.options.owners:
            os.chown(name, *meta.owner, dir_fd=fd, follow_symlinks=False)
        os.chmod(name, sidecar.permissions(meta), dir_fd=fd)  # we made it just now, in a directory nobody else knows
        os.utime(name, ns=(meta.mtime_ns, meta.mtime_ns), dir_fd=fd, follow_symlinks=False)

    def correct(self, place: Place, name: bytes, entry: TreeEntry) -> None:
        """Give a file that is there with the right content other permissions, owner or time."""
        meta = place.listing.meta(name)
        if meta is None:
            return
        handle = open_to_read(os.fsdecode(name), place.fd)
        try:
            mode = _mode(meta, executable=entry.mode == EXECUTABLE_MODE, setid=self.options.setid)
            self._settle(handle, mode, meta, place.path + name)
            os.utime(handle, ns=(meta.mtime_ns, meta.mtime_ns))
        finally:
            os.close(handle)
        blob = self.db.blob(entry.oid)
        if lfs.parse_pointer(blob) is None and len(blob) < self.options.large_bytes:
            self._remember(place, name, entry.oid)

    def _linked(self, place: Place, name: bytes, entry: TreeEntry, meta: Meta) -> bool:
        """Make `name` another name of its group's file, if that exists with the same content."""
        group = self.groups.get((meta.link, entry.oid, entry.mode))
        if group is None:
            return False
        *parents, last = group.path.split(b"/")
        source = os.dup(self.top)
        try:
            for parent in parents:
                inner = os.open(parent, DIRECTORY, dir_fd=source)
                os.close(source)
                source = inner
            os.link(last, name, src_dir_fd=source, dst_dir_fd=place.fd, follow_symlinks=False)
        finally:
            os.close(source)
        group.members.append((place.cache, os.fsdecode(name)))
        return True

    def finish_links(self) -> None:
        """Forget files with several names: each further name changed the change time of all. They are read once more."""
        for group in self.groups.values():
            if len(group.members) > 1:
                for cache, name in group.members:
                    cache.files.pop(name, None)


def _mode(meta: Meta, *, executable: bool, setid: bool) -> int:
    """Return permissions for a file: the sidecar's, corrected to the executable bit that the tree has."""
    mode = meta.mode & 0o7777
    if not setid:
        mode &= ~_SETID
    if executable != bool(mode & 0o100):
        mode = mode | 0o111 if executable else mode & ~0o111
    return mode


def _write(handle: int, data: bytes) -> None:
    done = os.write(handle, data) if data else 0
    while done < len(data):
        done += os.write(handle, memoryview(data)[done:])


def _write_pieces(handle: int, data: bytes, pieces: tuple[tuple[int, int], ...]) -> None:
    """Write a sparse file that is in memory, leaving out gaps that are zeros indeed."""
    os.ftruncate(handle, len(data))
    for start, length, is_data in lfs.with_gaps(pieces, len(data)):
        part = data[start : start + length]
        if is_data or part.count(0) != length:
            at = 0
            while at < length:
                at += os.pwrite(handle, part[at:], start + at)


def apply_meta(fd: int, meta: Meta, maker: Maker) -> None:
    """Give an open directory its owner, permissions, extended attributes and time."""
    found = os.fstat(fd)
    if maker.is_root and maker.options.owners and (found.st_uid, found.st_gid) != meta.owner:
        os.fchown(fd, *meta.owner)
    mode = meta.mode & 0o7777 & (~0 if maker.options.setid else ~_SETID)
    if found.st_mode & 0o7777 != mode:
        os.fchmod(fd, mode)
    present, _ = kept_xattrs(fd, setid=maker.options.setid)
    if tuple(present) != meta.xattrs:
        for name, _ in present:
            os.removexattr(fd, name)
        maker.set_xattrs(fd, meta, maker.where[0])
    os.utime(fd, ns=(meta.mtime_ns, meta.mtime_ns))


def header_of(fd: int, own: Meta | None, options: Options) -> tuple[bytes, bool]:
    """Return what the next snapshot will see of an open directory, and whether it is exactly what is recorded."""
    found = os.fstat(fd)
    xattrs, _ = kept_xattrs(fd, setid=options.setid)
    mode = found.st_mode & (~0 if options.setid else ~_SETID)
    owner = (found.st_uid, found.st_gid) if options.owners else (0, 0)
    fields = sidecar.content_fields(xattrs, None)
    header = b"%d %d %d %d %s" % (mode, *owner, found.st_mtime_ns, fields)
    exact = own is not None and (own.mode, own.owner, own.mtime_ns) == (mode, owner, found.st_mtime_ns)
    return header, exact and own is not None and sidecar.content_fields(own.xattrs, None) == fields
