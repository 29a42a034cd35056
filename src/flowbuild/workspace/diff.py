"""What changed between two commits of a run, in the workspace as the step saw it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from flowbuild.workspace import git
from flowbuild.workspace.escape import unescape
from flowbuild.workspace.layout import Difference, ReadTree, differences
from flowbuild.workspace.lfs import parse_pointer
from flowbuild.workspace.objects import EXECUTABLE_MODE, FILE_MODE, TreeEntry

PATCH_LIMIT = 64 << 20  # bytes
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

    def size(entry: TreeEntry | None) -> int | None:
        if entry is None:
            return None
        data = read_blob(entry.oid)
        pointer = parse_pointer(data) if entry.mode in _REGULAR else None
        return pointer.size if pointer else len(data)

    found = [
        Change(status(one), b"/".join(map(unescape, one.path.split(b"/"))), size(one.old), size(one.new))
        for one in differences(old, new, read_tree)
    ]
    return sorted(found, key=lambda change: change.path)


def patch(git_dir: Path, old: str, new: str, *, limit: int = PATCH_LIMIT) -> Iterator[bytes]:
    """Yield the text of `git diff` of the workspaces of two commits, at most `limit` bytes.

    Paths are those of the tree (special names escaped); large files show as their pointers.
    """
    options = ("--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--src-prefix=a/", "--dst-prefix=b/")
    return git.stream(
        git_dir,
        "diff",
        *options,
        "--relative=workspace/",
        "--end-of-options",
        old,
        new,
        "--",
        "workspace/",
        limit=limit,
    )
