"""Where the files of a repository come from: a Protocol, so that spec does no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from flowbuild.core.model import Position
from flowbuild.spec.findings import Finding
from flowbuild.spec.words import did_you_mean, shown


class Repository(Protocol):
    """The files of a repository at one commit, or of a working tree.

    Paths are relative to the root, with `/` between names and without `.` or `..`. Both methods may be called often
    and in any order; they never raise for a path that does not exist.
    """

    def read(self, path: str) -> bytes | None:
        """Return the content of a regular file, or None when there is none (a directory, a link out of the tree)."""

    def names(self, folder: str) -> Iterable[str]:
        """Return the names of the files directly in a folder, in any order; `""` is the root, a missing one is empty."""


def missing_file(repository: Repository, path: str, place: Position) -> Finding:
    """Return the finding for a path of the repository that cannot be read."""
    folder, _, name = path.rpartition("/")
    names = set(repository.names(folder))
    if name in names:
        message = f"{shown(path)} is not a file of the repository"
        return Finding("missing_file", place, message, "links are followed only inside of the repository")
    siblings = [f"{folder}/{other}" if folder else other for other in names]
    hint = did_you_mean(path, siblings, otherwise="the path begins at the root of the repository")
    return Finding("missing_file", place, f"there is no file {shown(path)} in the repository", hint)


class MemoryRepository:
    """Files held in a mapping from path to content."""

    def __init__(self, files: Mapping[str, bytes | str]) -> None:
        self._files = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}

    def read(self, path: str) -> bytes | None:
        """Return the content of the file, None when there is none."""
        return self._files.get(path)

    def names(self, folder: str) -> list[str]:
        """Return the names of the files directly in the folder."""
        prefix = f"{folder}/" if folder else ""
        rest = [path.removeprefix(prefix) for path in self._files if path.startswith(prefix)]
        return [name for name in rest if "/" not in name]


class Overlay:
    """Files that are edited, over those of another repository; None: the file is taken away."""

    def __init__(self, below: Repository, files: Mapping[str, str | None]) -> None:
        self._below = below
        self._files = files
        self._there = MemoryRepository({path: text for path, text in files.items() if text is not None})

    def read(self, path: str) -> bytes | None:
        """Return the content of the file, None when there is none."""
        return self._there.read(path) if path in self._files else self._below.read(path)

    def names(self, folder: str) -> list[str]:
        """Return the names of the files directly in the folder."""
        prefix = f"{folder}/" if folder else ""
        names = dict.fromkeys([*self._below.names(folder), *self._there.names(folder)])
        return [name for name in names if self._files.get(f"{prefix}{name}", "") is not None]
