"""What comes into a run repository over the network: the commit of an attempt, and large files.

Whoever sends it is believed nothing: a commit gets its ref when it follows from the input of the attempt and all large
files that it brings were sent along. The id of a large file opens nothing: other runs may have a file with that id.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from flowbuild.core.errors import Forbidden, InvalidRequest, WorkspaceError
from flowbuild.core.ids import CommitId, attempt_ref
from flowbuild.workspace import git, layout
from flowbuild.workspace.lfs import POINTER_MAX, Pointer, parse_pointer
from flowbuild.workspace.objects import SYMLINK_MODE
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.serve import NAMESPACE

_UPLOADS = "uploads"  # directory of the repository with the ids of large files that were sent to this run
_SHOWN = 3
_REMEMBERED = 512  # commits whose large files are at hand: a client asks for one file after another


class LargeFiles:
    """The large files of one run: those of its commits, and those that were sent to it."""

    def __init__(
        self, repository: RunRepository, commits: Iterable[CommitId], lists: dict[str, frozenset[Pointer]]
    ) -> None:
        """`lists` remembers what commits list, of whatever run: an id says all about a commit."""
        self._repository = repository
        self._commits = tuple(commits)
        self._lists = lists
        self._uploads = repository.path / _UPLOADS

    def has(self, pointers: Collection[Pointer]) -> frozenset[Pointer]:
        """Return those of some large files that belong to this run and are here."""
        wanted = {pointer for pointer in pointers if self._repository.lfs.has(pointer)}
        found = {pointer for pointer in wanted if (self._uploads / pointer.oid).exists()}
        for commit in self._commits:
            if found == wanted:
                break
            found |= self._listed(commit) & wanted
        return frozenset(found)

    def _listed(self, commit: CommitId) -> frozenset[Pointer]:
        listed = self._lists.get(commit)
        if listed is None:
            listed = self._repository.large_files(commit)
            if len(self._lists) >= _REMEMBERED:
                self._lists.clear()
            self._lists[commit] = listed
        return listed

    def sent(self, pointer: Pointer) -> None:
        """Remember that the content of a large file was sent to this run."""
        self._uploads.mkdir(exist_ok=True)
        (self._uploads / pointer.oid).touch()


class Incoming:
    """The door for the result of one attempt (`serve.Door`), which follows from `parent`, its input."""

    def __init__(
        self,
        repository: RunRepository,
        attempt: tuple[str, int, int],
        *,
        parent: CommitId,
        large: LargeFiles,
    ) -> None:
        self._repository = repository
        self._attempt = attempt
        self._parent = parent
        self._large = large

    @property
    def ref(self) -> str:
        """The ref that may be pushed."""
        return attempt_ref(*self._attempt)

    @property
    def base(self) -> str:
        """What is pushed follows from this commit."""
        return self._parent

    def open(self) -> None:
        """Remove what a push that was cut off left."""
        if self._repository.refs.read(self._place) is not None:
            git.run(self._repository.path, "update-ref", "-d", self._place)

    def accept(self, commit: str) -> None:
        """Give a commit the ref of its attempt; the same again is no error.

        Raises InvalidRequest for one that is no result of the attempt, Forbidden when it brings large files that nobody
        sent, Conflict when the attempt has another result.
        """
        self._repository.db.refresh()
        try:
            self._check(CommitId(commit))
            self._repository.write_attempt_ref(*self._attempt, CommitId(commit))
        except WorkspaceError as error:
            raise InvalidRequest(f"{commit} is not the result of a step: {error.message}") from error
        finally:
            self.open()

    @property
    def _place(self) -> str:
        return f"refs/namespaces/{NAMESPACE}/{self.ref}"

    def _check(self, commit: CommitId) -> None:
        repository = self._repository
        if repository.commit(commit).parents != (self._parent,):
            raise InvalidRequest(f"{commit} does not follow from the input of the attempt, {self._parent}")
        before, after = repository.layout(self._parent).workspace, repository.layout(commit).workspace
        brought = set()
        for difference in layout.differences(before, after, repository.db.tree):
            if difference.new is not None and difference.new.mode != SYMLINK_MODE:
                blob = repository.db.blob(difference.new.oid)
                if len(blob) <= POINTER_MAX and (pointer := parse_pointer(blob)) is not None:
                    brought.add(pointer)
        missing = sorted(brought - self._large.has(brought))
        if missing:
            names = ", ".join(pointer.oid for pointer in missing[:_SHOWN])
            raise Forbidden(f"{len(missing)} large file(s) were not sent: {names}", hint="git lfs push sends them")
