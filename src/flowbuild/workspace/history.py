"""The commit graph of a run: ancestors, heads, best common ancestors. Small enough to be walked whole."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from flowbuild.workspace.commits import Commit


class Commits(Protocol):
    """Where commits are read from."""

    def commit(self, oid: str) -> Commit:
        """Return the commit; raises WorkspaceError when it is missing."""
        ...


def ancestors(commits: Commits, *starts: str) -> frozenset[str]:
    """Return the commits reachable from `starts`, these included."""
    found: set[str] = set()
    queue = list(starts)
    while queue:
        oid = queue.pop()
        if oid not in found:
            found.add(oid)
            queue += commits.commit(oid).parents
    return frozenset(found)


def heads(commits: Commits, oids: Iterable[str]) -> list[str]:
    """Return the given commits in their order, each once, without those that others of them descend from."""
    distinct = list(dict.fromkeys(oids))
    behind: set[str] = set()
    for oid in distinct:
        behind |= ancestors(commits, *commits.commit(oid).parents)
    return [oid for oid in distinct if oid not in behind]


def best_common_ancestors(commits: Commits, one: str, other: str) -> list[str]:
    """Return the common ancestors that no other common ancestor descends from, sorted by id.

    What is common is closed under ancestry, so the ones to leave out are exactly the parents of common commits.
    """
    common = ancestors(commits, one) & ancestors(commits, other)
    return sorted(common.difference(*(commits.commit(oid).parents for oid in common)))
