"""A source as where pipeline and compose files come from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

from flowbuild.workspace.source import Source


class SourceFiles:
    """`spec.source.Repository` over the files that belong to a source: a working tree as it is on disk, or a commit."""

    def __init__(self, tree: Source) -> None:
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
