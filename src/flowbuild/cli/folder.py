"""The files of a directory as the source of pipeline and compose files, for `flow validate`; needs no git."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

MAX_BYTES = 16 << 20  # of one file; the format's own limits are far below


class Folder:
    """`spec.source.Repository` over a directory. Links are not followed: a repository is not left."""

    def __init__(self, top: Path) -> None:
        self._top = top

    def read(self, path: str) -> bytes | None:
        """Return the content of a regular file, or None."""
        try:
            descriptor = os.open(self._top / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (OSError, ValueError):
            return None
        with os.fdopen(descriptor, "rb") as file:
            return file.read(MAX_BYTES + 1) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None

    def names(self, folder: str) -> Iterable[str]:
        """Return the names of the files directly in a folder."""
        try:
            return [entry.name for entry in os.scandir(self._top / folder) if entry.is_file(follow_symlinks=False)]
        except OSError:
            return []
