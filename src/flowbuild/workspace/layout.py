"""The tree of a commit in a run repository, and reading and writing its parts.

workspace/          what the step left, names escaped
variables/<NAME>    one file for each context variable
.flow/meta          metadata of workspace/ that git has no place for (see `sidecar`)
.flow/lfs           paths of LFS objects in workspace/, each ended by a zero byte; absent when there are none
.flow/run.json      what the run is
.gitattributes      generated from .flow/lfs for stock git-lfs; absent when there are none
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from flowbuild.core.errors import WorkspaceError
from flowbuild.core.ids import VARIABLE_NAME
from flowbuild.workspace import attributes, variables
from flowbuild.workspace.objects import FILE_MODE, TREE_MODE, ObjectDatabase, TreeEntry, parse_tree
from flowbuild.workspace.packs import PackWriter

ReadTree = Callable[[bytes], list[TreeEntry]]


@dataclass(frozen=True, slots=True)
class Layout:
    """The parts of a commit's tree: raw object ids, and the ones small enough to be at hand."""

    workspace: bytes
    meta: bytes
    variables: Mapping[str, str]
    lfs: tuple[bytes, ...]
    record: bytes  # content of run.json


def read(db: ObjectDatabase, tree: bytes) -> Layout:
    """Read the tree of a commit; raises WorkspaceError when it is not one of ours."""
    root = {entry.name: entry for entry in db.tree(tree)}
    if b"workspace" not in root or b".flow" not in root or b"variables" not in root:
        raise WorkspaceError(f"Tree {tree.hex()} is not the tree of a run repository")
    flow = {entry.name: entry for entry in db.tree(root[b".flow"].oid)}
    if b"meta" not in flow:
        raise WorkspaceError(f"Tree {tree.hex()} has no metadata")
    values = {}
    for entry in db.tree(root[b"variables"].oid):
        name = entry.name.decode("utf-8", "replace")
        if entry.mode != FILE_MODE or not VARIABLE_NAME.fullmatch(name):
            raise WorkspaceError(f"Tree {tree.hex()} holds an impossible variable {name!r}")
        values[name] = db.blob(entry.oid).decode("utf-8", "replace")
    return Layout(
        root[b"workspace"].oid,
        flow[b"meta"].oid,
        values,
        tuple(attributes.decode_list(db.blob(flow[b"lfs"].oid))) if b"lfs" in flow else (),
        db.blob(flow[b"run.json"].oid) if b"run.json" in flow else b"",
    )


class TreeKeeper(PackWriter):
    """A pack writer that lets the trees it was given be read before the pack is closed."""

    def __init__(self, git_dir: Path, known: ObjectDatabase) -> None:
        super().__init__(git_dir, known)
        self._db = known
        self._trees: dict[bytes, bytes] = {}

    def add(self, kind: str, data: bytes) -> bytes:
        """Add an object, as PackWriter does."""
        oid = super().add(kind, data)
        if kind == "tree":
            self._trees[oid] = data
        return oid

    def tree(self, oid: bytes) -> list[TreeEntry]:
        """Return the entries of a tree of this pack or of the repository; raises as `ObjectDatabase.tree`."""
        data = self._trees.get(oid)
        return self._db.tree(oid) if data is None else parse_tree(data)


def write(writer: TreeKeeper, layout: Layout) -> bytes:
    """Write the root tree of a commit whose workspace and metadata are written already; return its id."""
    variables.check(layout.variables)
    values = [
        TreeEntry(FILE_MODE, name.encode(), writer.add("blob", value.encode()))
        for name, value in layout.variables.items()
    ]
    flow = [TreeEntry(TREE_MODE, b"meta", layout.meta)]
    root = [TreeEntry(TREE_MODE, b"workspace", layout.workspace)]
    if layout.record:
        flow.append(TreeEntry(FILE_MODE, b"run.json", writer.add("blob", layout.record)))
    if layout.lfs:
        flow.append(TreeEntry(FILE_MODE, b"lfs", writer.add("blob", attributes.encode_list(layout.lfs))))

        def files_in(directory: bytes) -> int:
            found = subtree(layout.workspace, directory, writer.tree)
            return sum(entry.mode != TREE_MODE for entry in writer.tree(found)) if found else 0

        text = attributes.render(layout.lfs, files_in)
        root.append(TreeEntry(FILE_MODE, b".gitattributes", writer.add("blob", text)))
    root.append(TreeEntry(TREE_MODE, b"variables", writer.add_tree(values)))
    root.append(TreeEntry(TREE_MODE, b".flow", writer.add_tree(flow)))
    return writer.add_tree(root)


def subtree(tree: bytes, path: bytes, read_tree: ReadTree) -> bytes | None:
    """Return the id of the directory at a tree path (b"": the tree itself), or None."""
    if not path:
        return tree
    entry = lookup(tree, path, read_tree)
    return entry.oid if entry is not None and entry.mode == TREE_MODE else None


def lookup(tree: bytes, path: bytes, read_tree: ReadTree) -> TreeEntry | None:
    """Return the entry at a tree path, or None when there is nothing."""
    found: TreeEntry | None = None
    for name in path.split(b"/"):
        if found is not None and found.mode != TREE_MODE:
            return None
        found = next((entry for entry in read_tree(found.oid if found else tree) if entry.name == name), None)
        if found is None:
            return None
    return found


@dataclass(frozen=True, slots=True)
class Difference:
    """A path that differs between two trees: stored (escaped) path, and the entries; never a directory."""

    path: bytes
    old: TreeEntry | None
    new: TreeEntry | None


def differences(old: bytes | None, new: bytes | None, read_tree: ReadTree) -> Iterator[Difference]:
    """Yield what differs between two directory trees; equal sub-trees are not opened. No order is promised."""
    stack: list[tuple[bytes, bytes | None, bytes | None]] = [(b"", old, new)]
    while stack:
        prefix, one, other = stack.pop()
        if one == other:
            continue
        before = {entry.name: entry for entry in read_tree(one)} if one else {}
        after = {entry.name: entry for entry in read_tree(other)} if other else {}
        for name in before.keys() | after.keys():
            left, right = before.get(name), after.get(name)
            if left == right:
                continue
            path = prefix + name
            if _file(left) or _file(right):
                yield Difference(path, _file(left), _file(right))
            stack.append((path + b"/", _directory(left), _directory(right)))


def _file(entry: TreeEntry | None) -> TreeEntry | None:
    return entry if entry is not None and entry.mode != TREE_MODE else None


def _directory(entry: TreeEntry | None) -> bytes | None:
    return entry.oid if entry is not None and entry.mode == TREE_MODE else None
