"""Checks pipeline files while they are written, over the files of a commit. Blocking: call from threads.

An editor asks at each keystroke: what was read of a commit is kept, because it never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache

from flowbuild.core.errors import InvalidRequest
from flowbuild.services.projects import ProjectService
from flowbuild.services.source_files import SourceFiles
from flowbuild.spec.load import LoadResult, load_pipelines
from flowbuild.spec.source import MemoryRepository, Overlay, Repository

FILES_MAX = 100
HEADS_KEPT = 64
COMMITS_KEPT = 4
FILES_KEPT = 200  # of a commit
KEPT_BYTES = 64 << 10  # of a file; larger ones are read each time


class Linting:
    """Checks files as `flow validate` does. `channels` returns the names of those of a project."""

    def __init__(self, projects: ProjectService, channels: Callable[[str], Collection[str]]) -> None:
        self._projects = projects
        self._channels = channels
        self._head = lru_cache(HEADS_KEPT)(self._resolved)
        self._commit = lru_cache(COMMITS_KEPT)(self._opened)

    def lint(self, files: Mapping[str, str], file: str = "") -> LoadResult:
        """Check files that are all there are. Raises InvalidRequest for too many."""
        _bounded(files)
        return load_pipelines(MemoryRepository(files), file or None)

    def lint_at(
        self, project: str, ref: str, files: Mapping[str, str | None], file: str = ""
    ) -> tuple[str, LoadResult]:
        """Check files over those of a branch, tag or commit as of the last fetch (None: taken away); return its commit, too.

        Raises NotFound, InvalidRequest for too many files.
        """
        _bounded(files)
        row = self._projects.get(project)
        commit = self._head((row.id, row.url, row.default_branch, row.fetched_at), project, ref)
        below = self._commit(row.id, project, commit)
        return commit, load_pipelines(Overlay(below, files), file or None, channels=self._channels(project))

    def _resolved(self, _state: tuple[object, ...], project: str, ref: str) -> str:
        """Return what a ref means; that can be another commit when the project was fetched again, or changed."""
        return self._projects.at(project, ref).commit

    def _opened(self, _id: str, project: str, commit: str) -> Repository:
        """Open a commit of a project; another one may have had its name before."""
        return _Kept(SourceFiles(self._projects.source(project, self._projects.at(project, commit))))


class _Kept:
    """A repository whose small files are read once."""

    def __init__(self, files: SourceFiles) -> None:
        self._files = files
        self._read: dict[str, bytes | None] = {}

    def read(self, path: str) -> bytes | None:
        if path in self._read:
            return self._read[path]
        data = self._files.read(path)
        if len(data or b"") <= KEPT_BYTES and len(self._read) < FILES_KEPT:
            self._read[path] = data
        return data

    def names(self, folder: str) -> Iterable[str]:
        return self._files.names(folder)


def _bounded(files: Mapping[str, str | None]) -> None:
    if len(files) > FILES_MAX:
        raise InvalidRequest(f"{len(files)} files: at most {FILES_MAX} are looked at")
