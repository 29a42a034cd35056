"""What changed between two commits of a run, in the workspace as the step saw it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from flowbuild.workspace import git
from flowbuild.workspace.escape import escape, unescape
from flowbuild.workspace.layout import Difference, ReadTree, differences
from flowbuild.workspace.lfs import parse_pointer
from flowbuild.workspace.objects import EXECUTABLE_MODE, FILE_MODE, TreeEntry

PATCH_LIMIT = 64 << 20  # bytes
CONTEXT = 3  # lines around a change
_REGULAR = (FILE_MODE, EXECUTABLE_MODE)


class Status(StrEnum):
    """What happened to a path; the letters of `git diff --name-status`."""

    ADDED = "A"
    MODIFIED = "M"
    DELETED = "D"
    TYPE = "T"  # e.g. a file became a symbolic link


@dataclass(frozen=True, slots=True)
class Change:
    """A changed file: raw path relative to the workspace, real sizes in bytes (also of large files), None: not there."""

    status: Status
    path: bytes
    size_before: int | None
    size_after: int | None


def status(difference: Difference) -> Status:
    """Return what happened to a path."""
    old, new = difference.old, difference.new
    if old is None:
        return Status.ADDED
    if new is None:
        return Status.DELETED
    same_type = old.mode == new.mode or (old.mode in _REGULAR and new.mode in _REGULAR)
    return Status.MODIFIED if same_type else Status.TYPE


def changes(
    old: bytes | None, new: bytes | None, read_tree: ReadTree, read_blob: Callable[[bytes], bytes]
) -> list[Change]:
    """Return the changes between two workspace trees, sorted by path."""
    found = [change(one, read_blob) for one in differences(old, new, read_tree)]
    return sorted(found, key=lambda change: change.path)


def change(difference: Difference, read_blob: Callable[[bytes], bytes]) -> Change:
    """Return what became of a path; reads its contents to tell their sizes."""

    def size(entry: TreeEntry | None) -> int | None:
        if entry is None:
            return None
        data = read_blob(entry.oid)
        pointer = parse_pointer(data) if entry.mode in _REGULAR else None
        return pointer.size if pointer else len(data)

    return Change(status(difference), name(difference), size(difference.old), size(difference.new))


def name(difference: Difference) -> bytes:
    """Return the raw path in the workspace of what is different."""
    return b"/".join(map(unescape, difference.path.split(b"/")))


def patch(
    git_dir: Path,
    old: str,
    new: str,
    *,
    path: bytes = b"",
    context: int = CONTEXT,
    beside: Path | None = None,
    limit: int = PATCH_LIMIT,
) -> Iterator[bytes]:
    """Yield the text of `git diff` of the workspaces of two commits, or of one `path` in them, at most `limit` bytes.

    Paths are those of the tree (special names escaped); large files show as their pointers. `new` may be a commit of the
    repository `beside` this one; git is told so in its environment, and neither repository is changed.
    """
    options = ("--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--src-prefix=a/", "--dst-prefix=b/")
    where = b"/".join([b"workspace", *map(escape, path.split(b"/"))]) if path else b"workspace/"
    return git.stream(
        git_dir,
        "--literal-pathspecs",
        "diff",
        *options,
        f"--unified={context}",
        "--relative=workspace/",
        "--end-of-options",
        old,
        new,
        "--",
        os.fsdecode(where),
        limit=limit,
        env={} if beside is None else {"GIT_ALTERNATE_OBJECT_DIRECTORIES": _quoted(beside / "objects")},
    )


def _quoted(directory: Path) -> str:
    """Return a directory as git wants it in a list that colons separate."""
    text = str(directory.absolute()).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
