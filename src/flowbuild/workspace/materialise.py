"""Makes a directory out of a stored tree and its metadata, or turns one stored tree that is there into another.

Both are one walk: a fresh directory is the change from nothing. The trees may come from anybody, so every name is
checked, every entry is created where nothing was (O_EXCL) relative to an open directory and no link is followed: a tree
cannot reach outside, overwrite, or be larger than the limits. Metadata that does not fit the tree is ignored; content
always wins.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flowbuild.core.errors import WorkspaceError
from flowbuild.workspace import statcache
from flowbuild.workspace.dirs import Descent, remove
from flowbuild.workspace.lfs import LfsStore
from flowbuild.workspace.making import Listing, Maker, Place, apply_meta, header_of, listing_of
from flowbuild.workspace.objects import TREE_MODE, ObjectDatabase, TreeEntry
from flowbuild.workspace.sidecar import Meta, Node
from flowbuild.workspace.snapshot import Dropped, Options
from flowbuild.workspace.statcache import DirectoryEntry, StatCache

MAX_ENTRIES = 10_000_000


@dataclass(slots=True)
class _Change:
    """A directory on its way: what it was (None: it is new), what it shall be, and its place in the cache."""

    was: Listing | None
    new: Listing
    entry: DirectoryEntry
    path: bytes
    clean: bool = True


def materialise(
    db: ObjectDatabase,
    tree: bytes,
    meta: bytes | None,
    directory: Path,
    *,
    lfs: LfsStore,
    cache: StatCache | None = None,
    options: Options | None = None,
) -> tuple[Dropped, ...]:
    """Make `directory`, which must be absent or empty, hold a stored tree; return what could not be restored.

    `cache` is filled, so that the next snapshot reads only what changed; `options` are those of that snapshot. Owners
    are restored when running as root. On an error the directory is incomplete and should be removed. Raises
    WorkspaceError: a hostile or damaged tree, a missing object, a full disk.
    """
    with _told(directory) as where:
        directory.mkdir(parents=True, exist_ok=True)
        with os.scandir(directory) as listing:
            if next(listing, None) is not None:
                raise WorkspaceError("It must be empty")
        root = DirectoryEntry()
        change = _Changer(db, lfs, options or Options(), where)
        try:
            change.run(directory, None, (tree, meta), root)
        finally:
            db.forget()
        if cache is not None:
            # Nobody else knew the directory until now, so every write so far was ours and was seen.
            cache.root, cache.horizon_ns, cache.profile = root, statcache.horizon(), repr(options or Options())
        return tuple(change.maker.lost)


def update(  # noqa: PLR0917 - old and new in pairs, as the caller has them
    db: ObjectDatabase,
    old_tree: bytes,
    old_meta: bytes | None,
    new_tree: bytes,
    new_meta: bytes | None,
    directory: Path,
    *,
    lfs: LfsStore,
    cache: StatCache | None = None,
    options: Options | None = None,
) -> tuple[Dropped, ...]:
    """Turn a directory that holds exactly the old tree into the new one; the cost follows what differs.

    `cache` is kept up to date if it speaks of the old tree, and emptied otherwise. Raises as `materialise`, also when the
    directory turns out to hold something else; then it must be made anew.
    """
    with _told(directory) as where:
        known = cache.root if cache is not None else None
        if known is None or known.tree != old_tree or known.meta is None or known.meta.oid != old_meta:
            known = None
        root = known or DirectoryEntry()
        if cache is not None and known is not None:
            root, profile, horizon_ns = known, cache.profile, cache.horizon_ns
        if cache is not None:
            cache.clear()  # if this fails half way, the cache must not speak of what is no more
        change = _Changer(db, lfs, options or Options(), where)
        change.run(directory, (old_tree, old_meta), (new_tree, new_meta), root)
        if cache is not None and known is not None:
            # The horizon stays: what was too fresh to be trusted is still so. New files are read once more, next time.
            cache.root, cache.horizon_ns, cache.profile = root, horizon_ns, profile
        return tuple(change.maker.lost)


@contextmanager
def _told(directory: Path) -> Iterator[list[bytes]]:
    where = [b""]
    try:
        yield where
    except OSError as error:
        path = directory / os.fsdecode(where[0])
        raise WorkspaceError(f"Cannot make {path}: {error.strerror}") from error
    except WorkspaceError as error:
        path = directory / os.fsdecode(where[0])
        raise type(error)(f"Cannot make {path}: {error.message}", hint=error.hint) from error


class _Changer:
    def __init__(self, db: ObjectDatabase, lfs: LfsStore, options: Options, where: list[bytes]) -> None:
        self.db, self.options, self.where = db, options, where
        self.maker = Maker(db, lfs, options, where)
        self.made, self.limit = 0, min(MAX_ENTRIES, options.max_entries)

    def run(
        self,
        directory: Path,
        old: tuple[bytes, bytes | None] | None,
        new: tuple[bytes, bytes | None],
        root: DirectoryEntry,
    ) -> None:
        with Descent(directory) as descent:
            self.maker.top = descent.fd
            was = self._listing(*old) if old else None
            change = _Change(was, self._listing(*new), root, b"")
            stack = [(change, self._enter(descent.fd, change))]
            while stack:
                change, children = stack[-1]
                step = next(children, None)
                self.where[0] = change.path
                if step is None:
                    stack.pop()
                    self._leave(descent.fd, change)
                    if stack:
                        descent.up()
                    continue
                name, inner = step
                self.where[0] = inner.path
                descent.down(name)
                stack.append((inner, self._enter(descent.fd, inner)))
            self.maker.finish_links()

    def _listing(self, tree: bytes, meta: bytes | None) -> Listing:
        return listing_of(self.db, tree, Node(TREE_MODE, meta) if meta else None)

    def _enter(self, fd: int, change: _Change) -> Iterator[tuple[bytes, _Change]]:
        """Make all entries of one directory except what is inside sub-directories; return those left to enter."""
        new, was = change.new, change.was
        self.made += len(new.entries)
        if self.made > self.limit:
            raise WorkspaceError(f"The tree holds more than {self.limit} entries")
        if was is not None:
            self._remove(fd, change, was, new)
        place = Place(fd, change.path, new, change.entry)
        inner: list[tuple[bytes, _Change]] = []
        for name, entry in new.entries.items():
            if entry.mode == TREE_MODE:
                if (step := self._sub_directory(fd, change, name, entry)) is not None:
                    inner.append((name, step))
            elif was is not None and not self._stays(place, was, name, entry):
                self.maker.make(place, name, entry)
        if was is None:
            self.maker.make_all(place)
        for name, meta in new.fifos():
            if was is None or was.fifo(name) != meta:
                self.maker.fifo(fd, name, meta)
        return iter(inner)

    def _remove(self, fd: int, change: _Change, was: Listing, new: Listing) -> None:
        """Take away what is no more or has become another kind of entry; changed files make room for the new ones."""
        for name, entry in was.entries.items():
            other = new.entries.get(name)
            is_directory = entry.mode == TREE_MODE
            if other is not None and is_directory == (other.mode == TREE_MODE):
                continue
            self.where[0] = change.path + name
            text = os.fsdecode(name)
            if is_directory:
                remove(fd, name)
                change.entry.directories.pop(text, None)
            else:
                os.unlink(name, dir_fd=fd)
                change.entry.files.pop(text, None)
        for name, meta in was.fifos():
            if new.fifo(name) != meta:
                os.unlink(name, dir_fd=fd)

    def _sub_directory(self, fd: int, change: _Change, name: bytes, entry: TreeEntry) -> _Change | None:
        node = change.new.nodes.get(name)
        known = change.was.entries.get(name) if change.was else None
        text = os.fsdecode(name)
        self.where[0] = path = change.path + name + b"/"
        if known is not None and known.mode == TREE_MODE and change.was is not None:
            old_node = change.was.nodes.get(name)
            if known.oid == entry.oid and old_node == node:
                return None
            was = listing_of(self.db, known.oid, old_node)
        else:
            os.mkdir(name, 0o700, dir_fd=fd)
            was = None
        inner = change.entry.directories.setdefault(text, DirectoryEntry())
        return _Change(was, listing_of(self.db, entry.oid, node), inner, path)

    def _stays(self, place: Place, was: Listing, name: bytes, entry: TreeEntry) -> bool:
        """Keep a file that is in both trees, correcting plain metadata in place; otherwise make room for a new one."""
        self.where[0] = place.path + name
        known = was.entries.get(name)
        if known is None or known.mode == TREE_MODE:  # a directory of that name is removed by now
            return False
        if known == entry:
            before, after = was.meta(name), place.listing.meta(name)
            if before == after:
                return True
            if before and after and _plain(before) and _plain(after) and entry.mode != 0o120000:
                place.cache.files.pop(os.fsdecode(name), None)
                self.maker.correct(place, name, entry)
                return True
        os.unlink(name, dir_fd=place.fd)
        place.cache.files.pop(os.fsdecode(name), None)
        return False

    def _leave(self, fd: int, change: _Change) -> None:
        """Give a directory its own metadata once nothing more is created in it."""
        new, entry = change.new, change.entry
        own = new.own()
        if own is not None:
            apply_meta(fd, own, self.maker)
        elif change.was is None:
            os.fchmod(fd, 0o755)
        entry.header, exact = header_of(fd, own, self.options)
        entry.tree, entry.meta = new.tree, new.node
        entry.clean = exact and new.regular and len(entry.files) == new.files


def _plain(meta: Meta) -> bool:
    return not meta.link and not meta.xattrs and meta.data is None
