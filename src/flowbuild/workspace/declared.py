"""What of a workspace a step reads, by its own word: the entries that decide whether a recorded result fits.

Paths are matched by the patterns of `globs`; a pattern that names a directory means all of it. Only names, contents and
executable bits count, so every entry is one line of a tree, a whole directory wherever a pattern means one. The `.git`
at the top is not a file of the project: a pattern means it only by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flowbuild.core.globs import compile_glob
from flowbuild.workspace.escape import unescape
from flowbuild.workspace.layout import ReadTree
from flowbuild.workspace.objects import SYMLINK_MODE, TREE_MODE, TreeEntry

Entry = tuple[str, int, str]  # path, mode as git writes it, object id in hexadecimal
_GIT = ".git"
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Declared:
    """Entries sorted by path, and the patterns that mean none: perhaps misspelt."""

    entries: tuple[Entry, ...]
    unmatched: tuple[str, ...] = ()


def declared(
    tree: bytes, read_tree: ReadTree, *, patterns: Sequence[str] | None, paths: Sequence[str] = ()
) -> Declared:
    """Return what `patterns` and the literal `paths` mean in a workspace; without patterns that is the whole of it.

    Of a path that leads through a symbolic link it is not known what it means: then all counts. Raises WorkspaceError.
    """
    if patterns is None:
        return Declared(((".", TREE_MODE, tree.hex()),))
    own = [_Pattern(text) for text in patterns]
    entries: dict[str, Entry] = {}
    everything = _Pattern("**")
    for path in paths:
        found = _at(tree, path, read_tree) if path != "." else None
        if path == "." or (found is not None and found.mode == SYMLINK_MODE):
            entries |= {entry[0]: entry for entry in _walk(tree, read_tree, [everything])}
        elif found is not None:
            entries[path] = (path, found.mode, found.oid.hex())
    entries |= {entry[0]: entry for entry in _walk(tree, read_tree, own)}
    # One that seems unused may mean something inside of a directory that another one means as a whole.
    unused = [one for one in own if not one.used and next(_walk(tree, read_tree, [one]), None) is None]
    return Declared(tuple(sorted(entries.values())), tuple(one.text for one in unused))


class _Pattern:
    """One pattern; `used` once it meant something."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.used = False
        text = text.removeprefix("./")
        text = "**" if text in ("", ".") else text
        *folders, last = text.split("/")
        wild = next((number for number, name in enumerate(folders) if _WILD.search(name)), len(folders))
        self._start = "".join(f"{name}/" for name in folders[:wild])  # nothing outside of it is meant
        self.of_git = [*folders, last][0] == _GIT
        self._match = compile_glob(text).fullmatch
        below = text if last in ("", "**") else "" if _WILD.search(last) else f"{text}/**"
        self._below = compile_glob(below).fullmatch if below else None

    def means(self, path: str) -> bool:
        """Whether a file is meant."""
        return self._match(path) is not None

    def means_all(self, folder: str) -> bool:
        """Whether everything in a directory is meant; its path ends in a slash."""
        return self._below is not None and self._below(folder) is not None

    def may_mean(self, folder: str) -> bool:
        """Whether something below a directory may be meant."""
        return self._start.startswith(folder) or folder.startswith(self._start)


def _walk(tree: bytes, read_tree: ReadTree, patterns: Sequence[_Pattern]) -> Iterator[Entry]:
    """Yield what patterns mean, opening only directories that may hold some of it."""
    stack = [("", tree)]
    while stack:
        prefix, oid = stack.pop()
        for entry in read_tree(oid):
            path = prefix + unescape(entry.name).decode("utf-8", "surrogateescape")
            asked = patterns if path.split("/")[0] != _GIT else [pattern for pattern in patterns if pattern.of_git]
            is_folder = entry.mode == TREE_MODE
            meant = [one for one in asked if (one.means_all(f"{path}/") if is_folder else one.means(path))]
            for pattern in meant:
                pattern.used = True
            if meant:
                yield path, entry.mode, entry.oid.hex()
            elif is_folder and any(pattern.may_mean(f"{path}/") for pattern in asked):
                stack.append((f"{path}/", entry.oid))


def _at(tree: bytes, path: str, read_tree: ReadTree) -> TreeEntry | None:
    """Return the entry at a path, or the first symbolic link on the way, or None when there is nothing."""
    found = TreeEntry(TREE_MODE, b"", tree)
    for name in path.encode("utf-8", "surrogateescape").split(b"/"):
        if found.mode != TREE_MODE:
            break
        below = next((entry for entry in read_tree(found.oid) if unescape(entry.name) == name), None)
        if below is None:
            return None
        found = below
    return found
