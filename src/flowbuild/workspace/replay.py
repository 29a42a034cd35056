"""Replays a recorded result: what a step once changed is changed again, in another input and another repository.

The change is the difference between the recorded input and the recorded result. Afterwards two things hold, or there is
no replay at all (`Misfit`):

* every path and variable that the step changed is as the step left it: there with what was written, or not there;
* every other one is as it is in the new input.

The first is only known to be what the step would do if it would find what it found then: so what it changed must be in the
new input what it was in the recorded one. Three changes do not depend on that: permissions go with any content, what is
removed may have had any content, and a directory that is made may be there already.
Objects are read and checked before they count: a damaged repository never gets into another one.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from flowbuild.core.errors import WorkspaceError
from flowbuild.core.ids import CommitId
from flowbuild.workspace import commits, layout, sidecar
from flowbuild.workspace.commits import Commit
from flowbuild.workspace.escape import escape, unescape
from flowbuild.workspace.layout import Layout, TreeKeeper
from flowbuild.workspace.lfs import parse_pointer
from flowbuild.workspace.objects import EXECUTABLE_MODE, FILE_MODE, SYMLINK_MODE, TREE_MODE, ObjectDatabase, TreeEntry
from flowbuild.workspace.packs import object_id
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.sidecar import SELF, Meta, Node

_FIFO = stat.S_IFIFO  # a FIFO is in the metadata only


class Misfit(WorkspaceError):
    """The recorded result and the new input do not go together, or the recorded one is not whole any more."""

    code = "misfit"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A result where it was made: the repository of its run, and two commits of it."""

    repository: RunRepository
    input: CommitId
    result: CommitId


def replay(
    repo: RunRepository, commit: CommitId, recorded: Recorded, *, message: str, trailers: Mapping[str, str]
) -> CommitId:
    """Commit in `repo`, as a child of `commit`, what it would be after the recorded step; the same again, the same id.

    Raises Misfit, or another WorkspaceError or OSError when a repository cannot be read or written.
    """
    parent, before = repo.commit(commit), repo.layout(commit)
    base, result = (recorded.repository.layout(oid) for oid in (recorded.input, recorded.result))
    with TreeKeeper(repo.path, repo.db) as writer:
        change = _Change(recorded.repository.db, repo.db, writer)
        tree, meta = change.apply(*(_Place(one.workspace, Node(TREE_MODE, one.meta)) for one in (base, result, before)))
        _bring(repo, recorded.repository, change.taken, writer)
        large = _large(tree, writer, (before, repo), (result, recorded.repository))
        after = Layout(tree, meta.oid, _variables(base, result, before), large, before.record)
        root = layout.write(writer, after)
        made = Commit(root.hex(), (commit,), parent.time, message, trailers)
        return CommitId(writer.add("commit", commits.encode(made)).hex())


class _Place(NamedTuple):
    """A directory: its tree and where its metadata is."""

    tree: bytes
    node: Node


class _Item(NamedTuple):
    """An entry of a directory. Of a directory the metadata is in `node`; a FIFO has no object."""

    mode: int
    oid: bytes
    meta: Meta | None = None
    node: Node | None = None

    @property
    def kind(self) -> int:
        return FILE_MODE if self.mode == EXECUTABLE_MODE else self.mode

    @property
    def place(self) -> _Place:
        """The directory that it is."""
        assert self.node is not None  # noqa: S101 - `_Change._open` gives every directory one
        return _Place(self.oid, self.node)

    @property
    def own(self) -> Meta:
        """The metadata of what is no directory."""
        assert self.meta is not None  # noqa: S101 - `_Change._open` gives everything else some
        return self.meta


class _Change:
    """One replay. `taken` collects the objects that come from the recorded repository."""

    def __init__(self, theirs: ObjectDatabase, ours: ObjectDatabase, writer: TreeKeeper) -> None:
        self._theirs = theirs
        self._ours = ours
        self._writer = writer
        self.taken: dict[bytes, None] = {}

    def apply(self, base: _Place, result: _Place, here: _Place) -> _Place:
        """Return the workspace `here` after the change from `base` to `result`."""
        try:
            return self._directory(base, result, here, top=True)
        except RecursionError as error:
            raise Misfit("directories are nested too deeply to be replayed") from error

    def _directory(self, base: _Place | None, result: _Place, here: _Place, *, top: bool = False) -> _Place:
        """Change a directory that is there; without a base the step made it."""
        if base == result:
            return here
        base_own, before = self._open(self._theirs, base) if base else (None, {})
        result_own, after = self._open(self._theirs, result)
        own, items = self._open(self._ours, here)
        for name in before.keys() | after.keys():
            old, new = before.get(name), after.get(name)
            if old == new:
                continue
            found = self._item(old, new, items.pop(name, None))
            if found is not None:
                items[name] = found
        # `mkdir -p` leaves a directory that is there as it is
        own = _changed(base_own, result_own, own) if base_own else own._replace(mtime_ns=result_own.mtime_ns)
        return self._store(own, items, top=top)

    def _item(self, old: _Item | None, new: _Item | None, now: _Item | None) -> _Item | None:
        """Return what becomes of one entry that the step changed."""
        was, found, becomes = (item.kind if item is not None else None for item in (old, now, new))
        if was != found and not (was is None and found == becomes == TREE_MODE):
            raise Misfit("a path that the step changed is of another kind now")
        if new is not None and now is not None and becomes == found == TREE_MODE:
            place = self._directory(old.place if old else None, new.place, now.place)
            return _Item(TREE_MODE, place.tree, None, place.node)
        if old is not None and new is not None and now is not None and was == becomes:
            return self._file(old, new, now)
        if old is not None and now is not None and was == TREE_MODE:
            self._only_known(old.place, now.place)
        if new is not None:
            self._take(new)
        return new

    def _file(self, old: _Item, new: _Item, now: _Item) -> _Item:
        """Change a file or link that is of the same kind all along."""
        if (old.oid, old.own.mtime_ns) == (new.oid, new.own.mtime_ns):  # nobody wrote to it
            meta = _changed(old.own, new.own, now.own)._replace(data=now.own.data)
            executable = EXECUTABLE_MODE if meta.mode & 0o100 else FILE_MODE
            return _Item(executable if new.kind == FILE_MODE else new.mode, now.oid, meta)
        if (old.oid, _but_times(old.own)) != (now.oid, _but_times(now.own)):
            raise Misfit("a file that the step wrote is not what it was")
        self._take(new)
        return new

    def _only_known(self, known: _Place, found: _Place) -> None:
        """Raise Misfit when a directory that goes away holds what was not in it when the step removed it."""
        if known == found:
            return
        names, items = self._open(self._theirs, known)[1], self._open(self._ours, found)[1]
        for name, item in items.items():
            if name not in names or names[name].kind != item.kind:
                raise Misfit("a directory that the step removed holds something else now")
            if item.kind == TREE_MODE:
                self._only_known(names[name].place, item.place)

    def _take(self, item: _Item) -> None:
        """Remember every object of something that is taken as it is."""
        if item.kind != TREE_MODE:
            if item.oid:
                self.taken[item.oid] = None
            return
        stack = [item.place]
        while stack:
            place = stack.pop()
            self.taken |= dict.fromkeys((place.tree, place.node.oid))
            if place.node.mode == TREE_MODE:
                self.taken |= {entry.oid: None for entry in self._theirs.tree(place.node.oid)}
            for below in self._open(self._theirs, place)[1].values():
                if below.kind == TREE_MODE:
                    stack.append(below.place)
                elif below.oid:
                    self.taken[below.oid] = None

    def _open(self, db: ObjectDatabase, place: _Place) -> tuple[Meta, dict[bytes, _Item]]:
        """Return a directory's own metadata and its entries by stored name."""
        blob, nodes = sidecar.load(db, place.node)
        metas = sidecar.read(blob)
        items: dict[bytes, _Item] = {}
        for entry in db.tree(place.tree):
            meta, node = metas.pop(unescape(entry.name), None), nodes.get(entry.name)
            if (node if entry.mode == TREE_MODE else meta) is None:
                raise WorkspaceError(f"the run repository {db.git_dir} has no metadata of {entry.name!r}")
            items[entry.name] = _Item(entry.mode, entry.oid, meta, node)
        own = metas.pop(SELF)
        items |= {escape(name): _Item(_FIFO, b"", meta) for name, meta in metas.items() if stat.S_ISFIFO(meta.mode)}
        return own, items

    def _store(self, own: Meta, items: Mapping[bytes, _Item], *, top: bool) -> _Place:
        metas = {unescape(name): item.meta for name, item in items.items() if item.meta is not None}
        nodes = {name: item.node for name, item in items.items() if item.node is not None}
        entries = [TreeEntry(item.mode, name, item.oid) for name, item in items.items() if item.kind != _FIFO]
        node = sidecar.store(self._writer, sidecar.write({SELF: own, **metas}), nodes, top=top)
        return _Place(self._writer.add_tree(entries), node)


def _changed(old: Meta, new: Meta, now: Meta) -> Meta:
    """Return metadata `now` with what the step changed of it."""
    before, after = old._asdict(), new._asdict()
    return now._replace(**{name: value for name, value in after.items() if value != before[name]})


def _but_times(meta: Meta) -> Meta:
    """Return the metadata without what writing a file changes anyway."""
    return meta._replace(mtime_ns=0, data=None)


def _variables(base: Layout, result: Layout, here: Layout) -> dict[str, str]:
    """Return the variables `here` after the change from `base` to `result`."""
    values = dict(here.variables)
    for name in base.variables.keys() | result.variables.keys():
        old, new, now = (one.variables.get(name) for one in (base, result, here))
        if old == new:
            continue
        if old != now and (new is not None or now is None):
            raise Misfit(f"the variable {name}, which the step changed, is not what it was")
        if new is None:
            del values[name]
        else:
            values[name] = new
    return values


def _bring(repo: RunRepository, other: RunRepository, oids: Mapping[bytes, None], writer: TreeKeeper) -> None:
    """Have objects of another repository in this one, many by sharing its packs, few by copying; all are checked."""
    missing = [oid for oid in oids if oid not in writer]
    repo.borrow(other, missing)
    for oid in missing:
        if oid in writer:
            continue
        kind, data = other.db.read(oid)
        if object_id(kind, data) != oid:
            raise Misfit(f"object {oid.hex()} of {other.path} is damaged")
        writer.add(kind, data)


def _large(tree: bytes, writer: TreeKeeper, *sides: tuple[Layout, RunRepository]) -> tuple[bytes, ...]:
    """Return the paths of large files in a workspace, each of which is that of a side; raises Misfit when one is gone."""
    found: set[bytes] = set()
    for side, repo in sides:
        for path in side.lfs:
            here = layout.lookup(tree, path, writer.tree)
            there = layout.lookup(side.workspace, path, repo.db.tree)
            if path in found or here is None or there is None or here.oid != there.oid or here.mode == SYMLINK_MODE:
                continue
            pointer = parse_pointer(repo.db.blob(there.oid))
            if pointer is None or not repo.lfs.has(pointer):
                raise Misfit(f"the large file {path.decode(errors='backslashreplace')} is gone")
            found.add(path)
    return tuple(sorted(found))
