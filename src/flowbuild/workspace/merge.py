"""N-way merge of directory trees: all sides at once, no index, no work tree, no order in which they are folded.

Every pair of sides has its own base (the best common ancestor of the two, see `bases`). The value of a side at a path is
*superseded* when another side has a different one and the base of the two still has the value: the other side changed
it, this one did not. The values that are left are what somebody wanted: one is the result, several are a conflict,
which a `Resolver` may settle by policy. So a change is never lost, and the result does not depend on the order of the
sides unless the policy says so. Nothing is merged by line unless a policy asks for it: that makes files nobody wrote.

Paths are leaves: a directory that faces a file is compared by what is in it. Sub-trees that are equal, or that only one
side changed, are never opened, so the cost follows what changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar

from flowbuild.workspace.objects import SYMLINK_MODE, TREE_MODE

Tree = bytes | dict[bytes, "Entry"]  # an object id, or a directory that is not stored (yet)
Entry = tuple[int, Tree]  # mode as in git, and the object id of a file or the tree of a directory
Value = Entry | None  # None: nothing there

# What a base holds where its own making had a conflict: equal to nothing that a side can have.
UNKNOWN: Final[Entry] = (-1, b"")

T = TypeVar("T")


class Kind(StrEnum):
    """How the sides of a conflict differ from what they started with."""

    MODIFY = "modify/modify"
    ADD = "add/add"
    DELETE = "delete/modify"
    FILE_DIRECTORY = "file/directory"


@dataclass(frozen=True, slots=True)
class Clash:
    """Several values wanted at one path; `sides` are the numbers of those who want something, in order."""

    path: tuple[bytes, ...]
    kind: Kind
    sides: tuple[int, ...]
    values: tuple[Value, ...]  # aligned with `sides`
    base: Value  # of the first two of them


Resolver = Callable[[Clash], Value]  # may raise Unresolved


class Unresolved(Exception):
    """No policy settles the clash."""


@dataclass(frozen=True, slots=True)
class Bases:
    """The distinct bases of all pairs of sides: `index[i, j]` (both orders) is a position in `trees`."""

    trees: tuple[Tree | None, ...]
    index: Mapping[tuple[int, int], int]


@dataclass(frozen=True, slots=True)
class Result:
    """The merged tree (None when nothing is left) and what no policy settled; the last side's value stands there."""

    tree: Tree | None
    clashes: tuple[Clash, ...] = field(default=())


def surviving(values: Sequence[T], base: Callable[[int, int], object]) -> list[int]:
    """Return the sides whose value no other side has superseded.

    Histories in which values go round in a circle leave nobody; then everybody is left, which is a conflict.
    """
    numbers = range(len(values))
    alive = [i for i in numbers if not any(values[j] != values[i] and base(i, j) == values[i] for j in numbers)]
    return alive or list(numbers)


def merge_trees(
    sides: Sequence[Tree | None],
    bases: Bases,
    *,
    read: Callable[[bytes], Mapping[bytes, Entry]],
    resolve: Resolver,
) -> Result:
    """Merge directory trees; `read` opens a stored one, `resolve` settles clashes or raises Unresolved."""
    merger = _Merger(bases.index, read, resolve)
    if all(side == sides[0] for side in sides):
        return Result(sides[0])
    return Result(merger.directory((), list(sides), list(bases.trees)), tuple(merger.clashes))


def unknown_where_clashing(_: Clash) -> Value:
    """Resolve for making a base out of several common ancestors: what they disagree on is equal to nothing."""
    return UNKNOWN


class _Merger:
    """One merge. Lists named `bases` are aligned with `Bases.trees`, lists named `sides` or `values` with the sides."""

    def __init__(
        self,
        index: Mapping[tuple[int, int], int],
        read: Callable[[bytes], Mapping[bytes, Entry]],
        resolve: Resolver,
    ) -> None:
        self._index = index
        self._read = read
        self._resolve = resolve
        self.clashes: list[Clash] = []

    def directory(
        self, path: tuple[bytes, ...], sides: Sequence[Tree | None], bases: Sequence[Tree | None]
    ) -> dict[bytes, Entry] | None:
        """Merge directories, None = there is none. An empty one exists where the sides want it to."""
        tables = [self._table(side) for side in sides]
        base_tables = [self._table(base) for base in bases]
        merged: dict[bytes, Entry] = {}
        for name in sorted(set().union(*tables)):
            values = [table.get(name) for table in tables]
            first = values[0]
            if all(value == first for value in values):
                value = first
            else:
                value = self._entry((*path, name), values, [_lookup(table, name) for table in base_tables])
            if value is not None:
                merged[name] = value
        if merged:
            return merged
        exists = [side is not None for side in sides]
        # An unknown base says nothing about whether there was a directory.
        before = [None if base == UNKNOWN[1] else base is not None for base in bases]
        return {} if any(exists[i] for i in surviving(exists, self._pair(before))) else None

    def _entry(self, path: tuple[bytes, ...], values: Sequence[Value], bases: Sequence[Value]) -> Value:
        base = self._pair(bases)
        for number, value in enumerate(values):
            if all(other == value or base(i, number) == other for i, other in enumerate(values)):
                return value  # everybody else either has it too or never changed what was there
        if not any(_is_directory(value) for value in values):
            return self._file(path, values, bases)
        mark = len(self.clashes)
        inside = self.directory(path, [_subtree(v) for v in values], [_subtree(v) for v in bases])
        files = [None if _is_directory(v) else v for v in values]
        base_files = [None if _is_directory(v) else v for v in bases]
        # What stands in for a clash depends on the order of the sides, and may be nothing: it decides nothing here.
        if inside is None and len(self.clashes) == mark:
            return self._file(path, files, base_files)
        wanted = surviving(files, self._pair(base_files))
        if all(files[i] is None for i in wanted):
            return None if inside is None else (TREE_MODE, inside)
        del self.clashes[mark:]  # the clash of the whole covers those inside
        return self._settle(path, Kind.FILE_DIRECTORY, values, bases, surviving(values, base))

    def _file(self, path: tuple[bytes, ...], values: Sequence[Value], bases: Sequence[Value]) -> Value:
        base = self._pair(bases)
        alive = surviving(values, base)
        wanted = {values[i] for i in alive}
        if len(wanted) == 1:
            return values[alive[0]]
        if (
            combined := _mode_and_content([values[i] for i in alive], lambda i, j: base(alive[i], alive[j]))
        ) is not None:
            return combined
        if None in wanted:
            kind = Kind.DELETE
        elif all(base(i, j) is None for i in alive for j in alive if values[i] != values[j]):
            kind = Kind.ADD
        else:
            kind = Kind.MODIFY
        return self._settle(path, kind, values, bases, alive)

    def _settle(
        self, path: tuple[bytes, ...], kind: Kind, values: Sequence[Value], bases: Sequence[Value], alive: Sequence[int]
    ) -> Value:
        differing = next((i for i in alive if values[i] != values[alive[0]]), alive[0])
        base = self._pair(bases)(alive[0], differing)
        clash = Clash(path, kind, tuple(alive), tuple(values[i] for i in alive), base)
        try:
            return self._resolve(clash)
        except Unresolved:
            self.clashes.append(clash)
            return clash.values[-1]

    def _pair(self, bases: Sequence[T]) -> Callable[[int, int], T | None]:
        """Return the lookup of what two sides had in common; a side has nothing to compare with itself."""
        return lambda i, j: bases[self._index[i, j]] if i != j else None

    def _table(self, tree: Tree | None) -> Mapping[bytes, Entry]:
        if tree is None:
            return {}
        if isinstance(tree, dict):
            return tree
        if tree == UNKNOWN[1]:
            return _Unknown()
        return self._read(tree)


class _Unknown(dict[bytes, Entry]):
    """The content of a directory that a base knows nothing about."""

    def get(self, _: bytes, __: object = None) -> Entry:
        return UNKNOWN


def _lookup(table: Mapping[bytes, Entry], name: bytes) -> Value:
    return table.get(name)


def _is_directory(value: Value) -> bool:
    return value is not None and value[0] == TREE_MODE


def _subtree(value: Value) -> Tree | None:
    if value is None:
        return None
    return value[1] if value[0] in (TREE_MODE, UNKNOWN[0]) else None


def _mode_and_content(values: Sequence[Value], base: Callable[[int, int], Value]) -> Value:
    """Combine a changed mode with a changed content of the same regular file; None when that is not the case."""
    if any(value is None or value[0] == SYMLINK_MODE for value in values):
        return None

    def part(number: int) -> object:
        parts = [value[number] for value in values if value is not None]

        def common(i: int, j: int) -> object:
            found = base(i, j) if i != j else None
            return found[number] if found is not None and found[0] != SYMLINK_MODE else None

        wanted = {parts[i] for i in surviving(parts, common)}
        return wanted.pop() if len(wanted) == 1 else None

    mode, content = part(0), part(1)
    return (mode, content) if isinstance(mode, int) and isinstance(content, bytes) else None
