"""Merges whole commits of a run repository: workspace, its metadata, variables and the list of large files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Protocol

from flowbuild.core.errors import WorkspaceError
from flowbuild.core.events import PathConflict
from flowbuild.core.ids import CommitId, StepKey
from flowbuild.core.model import MergeRule
from flowbuild.workspace import history, layout, merge, variables
from flowbuild.workspace.commits import Commit, encode
from flowbuild.workspace.escape import unescape
from flowbuild.workspace.layout import Layout, TreeKeeper
from flowbuild.workspace.merge import Bases, Clash, Entry, Tree
from flowbuild.workspace.merge_meta import MetaMerger, Side
from flowbuild.workspace.objects import TREE_MODE, ObjectDatabase, TreeEntry
from flowbuild.workspace.policies import PathPolicies
from flowbuild.workspace.sidecar import Node

_CONFLICTS_LISTED = 100  # in the trailer of a merge that could not stop


class Store(Protocol):
    """What a merge reads."""

    path: Path
    db: ObjectDatabase

    def commit(self, oid: str) -> Commit:
        """Return a commit."""
        ...

    def layout(self, oid: str) -> Layout:
        """Return the parts of a commit's tree."""
        ...


@dataclass(frozen=True, slots=True)
class Merged:
    """The result of a merge: a commit and its variables, or no commit and what is in conflict.

    A path is relative to the workspace, a variable is `/variables/NAME`, as a step sees it.
    """

    commit: CommitId | None
    conflicts: tuple[PathConflict, ...]
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Base:
    """What two sides had in common; `meta` None and a variable None mean: unknown, equal to nothing."""

    workspace: Tree | None
    meta: bytes | None
    variables: Mapping[str, str | None]


def merge_commits(
    store: Store,
    parents: Sequence[tuple[StepKey, CommitId]],
    *,
    rules: Sequence[MergeRule],
    variable_rules: Sequence[MergeRule],
    later_wins: bool = False,
) -> Merged:
    """Merge commits into one whose id depends on nothing but them, their order and the rules.

    What one parent contains of another is not merged again, so the result may be one of the parents. With `later_wins`
    there always is a commit: conflicts are settled for the last parent and listed in its trailer `Flow-Conflicts`.
    """
    try:
        heads = history.heads(store, [commit for _, commit in parents])
        if len(heads) == 1:
            return Merged(CommitId(heads[0]), (), store.layout(heads[0]).variables)
        labels = {oid: next(step for step, commit in parents if commit == oid) for oid in heads}
        with TreeKeeper(store.path, store.db) as writer:
            return _Merge(store, writer, heads).run(labels, rules, variable_rules, later_wins=later_wins)
    except RecursionError as error:
        raise WorkspaceError(
            "the directories to merge are nested too deeply", hint="keep them below 400 levels"
        ) from error


class _Merge:
    """One merge of two or more heads."""

    def __init__(self, store: Store, writer: TreeKeeper, heads: Sequence[str]) -> None:
        self._store = store
        self._writer = writer
        self._heads = heads
        self._tables: dict[bytes, dict[bytes, Entry]] = {}

    def run(
        self,
        labels: Mapping[str, StepKey],
        rules: Sequence[MergeRule],
        variable_rules: Sequence[MergeRule],
        *,
        later_wins: bool,
    ) -> Merged:
        sides = [self._store.layout(oid) for oid in self._heads]
        bases, index = self._bases(self._heads)
        policies = PathPolicies(
            rules,
            git_dir=self._store.path,
            name=lambda path: b"/".join(map(unescape, path)).decode("utf-8", "surrogateescape"),
            read=self._store.db.blob,
            write=lambda data: self._writer.add("blob", data),
        )
        tree, clashes = self._workspace([side.workspace for side in sides], bases, index, policies)
        values, variable_clashes = variables.merge(
            [side.variables for side in sides], lambda i, j: bases[index[i, j]].variables, variable_rules
        )
        steps = [labels[oid] for oid in self._heads]
        conflicts = tuple(_conflict(clash, steps) for clash in clashes)
        conflicts += tuple(_variable_conflict(clash, steps) for clash in variable_clashes)
        if conflicts and not later_wins:
            self._writer.abort()
            return Merged(None, conflicts, {})
        commit = self._commit(
            tree=tree, values=values, sides=sides, bases=bases, index=index, steps=steps, conflicts=conflicts
        )
        return Merged(commit, conflicts, values)

    def _workspace(
        self,
        sides: Sequence[Tree | None],
        bases: Sequence[_Base],
        index: Mapping[tuple[int, int], int],
        resolve: merge.Resolver,
    ) -> tuple[Tree | None, tuple[Clash, ...]]:
        trees = tuple(base.workspace for base in bases)
        result = merge.merge_trees(sides, Bases(trees, index), read=self._table, resolve=resolve)
        return result.tree, result.clashes

    def _commit(
        self,
        *,
        tree: Tree | None,
        values: Mapping[str, str],
        sides: Sequence[Layout],
        bases: Sequence[_Base],
        index: Mapping[tuple[int, int], int],
        steps: Sequence[StepKey],
        conflicts: Sequence[PathConflict],
    ) -> CommitId:
        time = max(self._store.commit(oid).time for oid in self._heads)
        meta = MetaMerger(
            self._store.db,
            self._writer,
            read=self._table,
            index=index,
            # Later than anything a step wrote before its commit, whose time is cut to whole seconds.
            now_ns=(time + 1) * 10**9,
        ).merge(
            tree if tree is not None else {},
            [Side(side.workspace, Node(TREE_MODE, side.meta)) for side in sides],
            [Node(TREE_MODE, base.meta) if base.meta else None for base in bases],
        )
        workspace = self._store_tree(tree if tree is not None else {})
        merged = Layout(workspace, meta.oid, values, self._large(workspace, sides), sides[0].record)
        trailers = {"Flow-Merge": " ".join(steps)}
        if conflicts:
            trailers["Flow-Conflicts"] = "\n".join(conflict.path for conflict in conflicts[:_CONFLICTS_LISTED])
        root = layout.write(self._writer, merged)
        commit = Commit(root.hex(), tuple(self._heads), time, "Merge " + ", ".join(steps), trailers)
        return CommitId(self._writer.add("commit", encode(commit)).hex())

    def _bases(self, heads: Sequence[str]) -> tuple[list[_Base], dict[tuple[int, int], int]]:
        """Return the distinct bases of all pairs of heads, and which pair has which."""
        found: dict[tuple[str, ...], int] = {}
        index: dict[tuple[int, int], int] = {}
        for (i, one), (j, other) in combinations(enumerate(heads), 2):
            best = tuple(history.best_common_ancestors(self._store, one, other))
            index[i, j] = index[j, i] = found.setdefault(best, len(found))
        return [self._base(best) for best in found], index

    def _base(self, best: tuple[str, ...]) -> _Base:
        """Return one base; several best ancestors are merged into a virtual one, unknown where they disagree."""
        if not best:
            return _Base(None, None, {})
        sides = [self._store.layout(oid) for oid in best]
        if len(best) == 1:
            return _Base(sides[0].workspace, sides[0].meta, sides[0].variables)
        bases, index = self._bases(best)
        tree, _ = self._workspace([side.workspace for side in sides], bases, index, merge.unknown_where_clashing)
        values, clashes = variables.merge(
            [side.variables for side in sides], lambda i, j: bases[index[i, j]].variables, ()
        )
        return _Base(tree, None, {**values, **dict.fromkeys(clash.name for clash in clashes)})

    def _table(self, oid: bytes) -> Mapping[bytes, Entry]:
        table = self._tables.get(oid)
        if table is None:
            entries = self._writer.tree(oid)
            table = self._tables[oid] = {entry.name: (entry.mode, entry.oid) for entry in entries}
        return table

    def _store_tree(self, tree: Tree) -> bytes:
        if isinstance(tree, bytes):
            return tree
        return self._writer.add_tree(
            TreeEntry(mode, name, self._store_tree(below)) for name, (mode, below) in tree.items()
        )

    def _large(self, workspace: bytes, sides: Sequence[Layout]) -> tuple[bytes, ...]:
        """Return the LFS paths of the result: those that are what a side has there that lists them."""
        found: set[bytes] = set()
        for side in sides:
            found |= {path for path in side.lfs if path not in found and self._same(path, workspace, side.workspace)}
        return tuple(sorted(found))

    def _same(self, path: bytes, one: bytes, other: bytes) -> bool:
        return self._lookup(one, path) == self._lookup(other, path) is not None

    def _lookup(self, tree: bytes, path: bytes) -> Entry | None:
        found: Entry | None = (TREE_MODE, tree)
        for name in path.split(b"/"):
            if found is None or found[0] != TREE_MODE or not isinstance(found[1], bytes):
                return None
            found = self._table(found[1]).get(name)
        return found


def _conflict(clash: Clash, steps: Sequence[StepKey]) -> PathConflict:
    path = b"/".join(map(unescape, clash.path)).decode("utf-8", "backslashreplace")
    return PathConflict(path, tuple(steps[i] for i in clash.sides), clash.kind.value)


def _variable_conflict(clash: variables.VariableClash, steps: Sequence[StepKey]) -> PathConflict:
    kind = merge.Kind.DELETE if clash.deleted else merge.Kind.ADD if clash.added else merge.Kind.MODIFY
    return PathConflict(f"/variables/{clash.name}", tuple(steps[i] for i in clash.sides), kind.value)
