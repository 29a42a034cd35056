"""A working tree as the source of pipeline and compose files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

from flowbuild.workspace.source import WorkingTree


class SourceFiles:
    """`spec.source.Repository` over the files of a working tree as they are on disk, ignored ones left out."""

    def __init__(self, tree: WorkingTree) -> None:
        self._tree = tree

    def read(self, path: str) -> bytes | None:
        """Return the content of a regular file of the tree, or None."""
        return self._tree.read(path)

    def names(self, folder: str) -> Iterable[str]:
        """Return the names of the files directly in a folder."""
        return self._by_folder.get(folder, ())

    @cached_property
    def _by_folder(self) -> dict[str, list[str]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for path in self._tree.paths():
            folder, _, name = path.decode("utf-8", "surrogateescape").rpartition("/")
            found[folder].append(name)
        return found
