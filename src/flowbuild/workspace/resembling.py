"""What a commit needs and another repository on this machine has: runs of one source have most of it in common."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from flowbuild.core.errors import WorkspaceError
from flowbuild.core.ids import CommitId
from flowbuild.workspace.objects import TREE_MODE
from flowbuild.workspace.packs import PackWriter
from flowbuild.workspace.repo import RunRepository


def missing(repository: RunRepository, commit: CommitId) -> frozenset[bytes]:
    """Return the blobs of a commit, and of those it follows from, of which the trees are here, but not they themselves."""
    waiting = [bytes.fromhex(repository.commit(each).tree) for each in repository.ancestors(commit)]
    seen, found = set(waiting), set[bytes]()
    while waiting:
        for entry in repository.db.tree(waiting.pop()):
            if entry.oid in seen:
                continue
            seen.add(entry.oid)
            if entry.mode == TREE_MODE:
                waiting.append(entry.oid)
            elif entry.oid not in repository.db:
                found.add(entry.oid)
    repository.db.forget()
    return frozenset(found)


def take_over(repository: RunRepository, other: RunRepository, oids: Collection[bytes]) -> None:
    """Have those of some objects here that another repository has: many by sharing its packs, few by copying.

    Damaged ones are left, and the other repository may be removed meanwhile. Raises OSError when nothing can be written.
    """
    with suppress(WorkspaceError, FileNotFoundError):
        repository.borrow(other, oids)
    with PackWriter(repository.path, repository.db) as writer:
        for oid in oids:
            if oid not in writer and oid in other.db:
                with suppress(WorkspaceError):
                    writer.add(*other.db.read(oid))  # what is damaged gets another id
    repository.db.refresh()
