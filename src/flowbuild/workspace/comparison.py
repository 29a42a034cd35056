"""Two workspaces side by side, also of two runs: neither repository is changed for it."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping

from flowbuild.core.ids import CommitId
from flowbuild.workspace import diff, layout
from flowbuild.workspace.browse import names_of
from flowbuild.workspace.objects import ObjectDatabase
from flowbuild.workspace.repo import RunRepository


class Comparison:
    """A commit of a run repository, and one of another (or the same) that may differ from it."""

    def __init__(self, old: tuple[RunRepository, CommitId], new: tuple[RunRepository, CommitId]) -> None:
        self._repository, self._old = old
        self._other, self._new = new
        self._beside = None if self._other.path == self._repository.path else self._other.path
        self._db = self._repository.db if self._beside is None else ObjectDatabase(old[0].path, self._beside)
        self._before, self._after = old[0].layout(old[1]), new[0].layout(new[1])
        self._found = list(layout.differences(self._before.workspace, self._after.workspace, self._db.tree))

    @property
    def counts(self) -> Mapping[str, int]:
        """How many paths of the workspace are only there now (A), are different (M, T), are not there any more (D)."""
        return Counter(str(diff.status(one)) for one in self._found)

    @property
    def variables(self) -> Mapping[str, tuple[str | None, str | None]]:
        """The variables that differ, by name: before and after, None: not there."""
        old, new = self._before.variables, self._after.variables
        both = {name: (old.get(name), new.get(name)) for name in sorted({*old, *new})}
        return {name: values for name, values in both.items() if values[0] != values[1]}

    def files(self, after: bytes, limit: int) -> list[diff.Change]:
        """Return so many of the paths that differ, by name, those behind `after`. Only their contents are read."""
        named = ((diff.name(one), one) for one in self._found)
        behind = (one for one in named if one[0] > after)
        return [diff.change(one, self._db.blob) for _, one in heapq.nsmallest(limit, behind, key=lambda one: one[0])]

    def patch(self, path: bytes, *, context: int, limit: int) -> bytes:
        """Return the text of `git diff` of one path, at most `limit` bytes; empty when it is the same."""
        names_of(path)
        pieces = diff.patch(
            self._repository.path,
            self._old,
            self._new,
            path=path,
            context=context,
            beside=self._beside,
            limit=limit,
        )
        return b"".join(pieces)
