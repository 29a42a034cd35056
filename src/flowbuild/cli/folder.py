"""The files of a directory as the source of pipeline and compose files, for `flow validate`; needs no git."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

MAX_BYTES = 16 << 20  # of one file; the format's own limits are far below


class Folder:
    """`spec.source.Repository` over a directory, which links do not lead out of; as `flow run` reads a work tree."""

    def __init__(self, top: Path) -> None:
        self._top = top.resolve()

    def read(self, path: str) -> bytes | None:
        """Return the content of a regular file, or None."""
        try:
            file = Path(os.path.realpath(self._top / path))
            if not file.is_relative_to(self._top):
                return None
            descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError):
            return None
        try:
            regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            return os.read(descriptor, MAX_BYTES + 1) if regular else None
        finally:
            os.close(descriptor)

    def names(self, folder: str) -> Iterable[str]:
        """Return the names of the files and links directly in a folder."""
        try:
            with os.scandir(self._top / folder) as entries:
                return [entry.name for entry in entries if entry.is_symlink() or entry.is_file(follow_symlinks=False)]
        except OSError:
            return []
