"""Makes finished files survive a loss of power.

Steps store their results without waiting for the disk: nobody depends on a result before it is accepted. Accepting
forces to the disk what the result is made of, and only then the ref that points to it: a ref whose objects were lost
would be worse than no ref. Source of the rules: fsync(2); a new name is durable only when its directory is.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable
from pathlib import Path


class Syncer:
    """Forces files to the disk that never change once they have their name, each only once. Safe for several threads."""

    def __init__(self, top: Path) -> None:
        """Files are below `top`, whose own name is made durable too."""
        self._top = top
        self._done: set[Path] = set()  # files, and directories above those that hold files
        self._lock = threading.Lock()

    def sync(self, files: Iterable[Path]) -> None:
        """Return when these files and the directories that name them are on the disk; those that are gone are no error.

        Raises OSError when the disk refuses.
        """
        with self._lock:
            synced = []
            for path in files:
                if path not in self._done:
                    # One that is gone was put together with others meanwhile, which was forced to the disk before.
                    with contextlib.suppress(FileNotFoundError):
                        force(path)
                        synced.append(path)
            for directory in {path.parent for path in synced}:
                self._names(directory)
            self._done.update(synced)

    def names(self, directory: Path) -> None:
        """Return when the names in a directory are on the disk, and the way down to it from the top."""
        with self._lock:
            self._names(directory)

    def _names(self, directory: Path) -> None:
        force(directory)
        for above in directory.parents:
            if directory == self._top.parent or directory in self._done:
                return
            force(above)
            self._done.add(directory)  # its own name is durable now, and stays so
            directory = above


def force(path: Path) -> None:
    """Return when the content of a file, or the names in a directory, are on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
