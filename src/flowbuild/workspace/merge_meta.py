"""Metadata of a merged workspace: each entry keeps that of the side whose content won.

Among sides with the same content the one that changed the metadata wins, by the rule of `merge`; if several did, the
newest. A file that no side wrote (merged by line) is as new as the merge. FIFOs are metadata only and merged here.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from flowbuild.workspace import sidecar
from flowbuild.workspace.escape import unescape
from flowbuild.workspace.merge import Entry, Tree, surviving
from flowbuild.workspace.objects import EXECUTABLE_MODE, SYMLINK_MODE, TREE_MODE, ObjectDatabase
from flowbuild.workspace.packs import PackWriter
from flowbuild.workspace.sidecar import SELF, Meta, Node

_KINDS = {TREE_MODE: stat.S_IFDIR | 0o755, SYMLINK_MODE: stat.S_IFLNK | 0o777, EXECUTABLE_MODE: stat.S_IFREG | 0o755}


@dataclass(frozen=True, slots=True)
class Side:
    """A directory of one side (or base): its tree and its metadata, None where it has no such directory."""

    tree: Tree | None
    node: Node | None


class MetaMerger:
    """Merges metadata of directories along a merged tree; `index` gives the base of each pair of sides."""

    def __init__(
        self,
        db: ObjectDatabase,
        writer: PackWriter,
        *,
        read: Callable[[bytes], Mapping[bytes, Entry]],
        index: Mapping[tuple[int, int], int],
        now_ns: int,
    ) -> None:
        self._db = db
        self._writer = writer
        self._read = read
        self._index = index
        self._now_ns = now_ns

    def merge(self, tree: Tree, sides: Sequence[Side], bases: Sequence[Node | None], *, top: bool = True) -> Node:
        """Return where the metadata of the merged directory `tree` is; bases are aligned with those of the merge."""
        same = [i for i, side in enumerate(sides) if side.tree == tree and side.node is not None]
        node = self._choose([sides[i].node for i in same], self._pair(bases, same))
        if node is not None:
            return node
        opened = [self._open(side.node) for side in sides]
        opened_bases = [self._open(base) for base in bases]
        tables = [self._table(side.tree) for side in sides]
        table = self._table(tree)
        entries: dict[bytes, Meta] = {}
        children: dict[bytes, Node] = {}
        for stored, entry in table.items():
            name = unescape(stored)
            if entry[0] == TREE_MODE:
                below = [Side(_subtree(t.get(stored)), o[1].get(stored)) for t, o in zip(tables, opened, strict=True)]
                children[stored] = self.merge(
                    entry[1], below, [base[1].get(stored) for base in opened_bases], top=False
                )
            else:
                holders = [i for i, other in enumerate(tables) if other.get(stored) == entry]
                entries[name] = self._pick(name, holders, opened, opened_bases) or self._made(entry, name, opened)
        for name in self._fifos(opened, opened_bases) - entries.keys():
            if (found := self._pick(name, range(len(sides)), opened, opened_bases)) is not None:
                entries[name] = found
        everyone = [i for i, side in enumerate(sides) if side.node is not None]
        entries[SELF] = self._pick(SELF, everyone, opened, opened_bases) or self._made((TREE_MODE, b""), SELF, opened)
        return sidecar.store(self._writer, sidecar.write(entries), children, top=top)

    def _choose(self, nodes: Sequence[Node | None], base: Callable[[int, int], object]) -> Node | None:
        """Return the node that nobody has superseded, if there is one only."""
        if not nodes:
            return None
        wanted = {nodes[i] for i in surviving(nodes, base)}
        return wanted.pop() if len(wanted) == 1 else None

    def _pick(
        self, name: bytes, holders: Iterable[int], opened: Sequence[_Opened], bases: Sequence[_Opened]
    ) -> Meta | None:
        """Return the metadata to keep of those that `holders` have; the newest when several changed it."""
        numbers = list(holders)
        metas = [opened[i][0].get(name) for i in numbers]
        alive = surviving(metas, self._pair([base[0].get(name) for base in bases], numbers)) if metas else []
        left = [meta for i in alive if (meta := metas[i]) is not None]
        return max(left, key=lambda meta: (meta.mtime_ns, repr(meta)), default=None)

    def _made(self, entry: Entry, name: bytes, opened: Sequence[_Opened]) -> Meta:
        """Return metadata for something that is as no side has it: as new as the merge, owned like its neighbours."""
        like = next((metas[key] for key in (name, SELF) for metas, _ in opened if key in metas), None)
        return Meta(_KINDS.get(entry[0], stat.S_IFREG | 0o644), self._now_ns, like.owner if like else (0, 0))

    def _fifos(self, opened: Sequence[_Opened], bases: Sequence[_Opened]) -> set[bytes]:
        """Return the names of FIFOs that are wanted: present on a side that nobody has superseded."""
        names = {name for metas, _ in opened for name, meta in metas.items() if stat.S_ISFIFO(meta.mode)}
        wanted = set()
        for name in names:
            there = [name in metas for metas, _ in opened]
            alive = surviving(there, self._pair([name in metas for metas, _ in bases], range(len(there))))
            if any(there[i] for i in alive):
                wanted.add(name)
        return wanted

    def _pair(self, bases: Sequence[object], numbers: Sequence[int]) -> Callable[[int, int], object]:
        return lambda i, j: bases[self._index[numbers[i], numbers[j]]] if numbers[i] != numbers[j] else None

    def _open(self, node: Node | None) -> _Opened:
        if node is None:
            return {}, {}
        blob, children = sidecar.load(self._db, node)
        return sidecar.read(blob), children

    def _table(self, tree: Tree | None) -> Mapping[bytes, Entry]:
        if tree is None:
            return {}
        return tree if isinstance(tree, dict) else self._read(tree)


_Opened = tuple[Mapping[bytes, Meta], Mapping[bytes, Node]]


def _subtree(entry: Entry | None) -> Tree | None:
    return entry[1] if entry is not None and entry[0] == TREE_MODE else None
