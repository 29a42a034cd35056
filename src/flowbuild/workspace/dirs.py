"""Goes down and up a directory tree by descriptors, never by path.

No path is ever resolved twice, no symbolic link is followed, trees deeper than PATH_MAX work, and however deep a tree is
only `WINDOW` descriptors are open: older ones are closed on the way down and opened again through `..` on the way up,
which is refused unless it leads to the very directory that was left (device and inode are compared).
"""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Self

from flowbuild.core.errors import WorkspaceError

WINDOW = 64
MAX_DEPTH = 2000  # git refuses trees deeper than 2048 (core.maxTreeDepth)
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Descent:
    """A stack of open directories: the current one is `fd`."""

    def __init__(self, top: str | bytes | os.PathLike[str] | int, *, limit: int = MAX_DEPTH) -> None:
        """Begin at a path, or at a directory that is open already and is closed at the end."""
        self._limit = limit
        self.fd = top if isinstance(top, int) else os.open(top, DIRECTORY)
        self._stack: list[tuple[int, int, int]] = []  # descriptor (-1: closed for now), device, inode of the parents
        self._names: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for fd, _, _ in self._stack:
            if fd >= 0:
                os.close(fd)
        os.close(self.fd)

    @property
    def name(self) -> bytes:
        """Name of the current directory in the one above."""
        return self._names[-1]

    def down(self, name: bytes) -> int:
        """Enter a sub-directory; return its descriptor. Raises OSError, WorkspaceError below the limit."""
        if len(self._stack) >= self._limit:
            raise WorkspaceError(f"The workspace is more than {self._limit} directories deep at {name!r}")
        child = os.open(name, DIRECTORY, dir_fd=self.fd)
        device = inode = 0
        if len(self._stack) >= WINDOW // 2:  # shallow trees, the common case, never need the way back
            here = os.fstat(self.fd)
            device, inode = here.st_dev, here.st_ino
            self._close_oldest()
        self._stack.append((self.fd, device, inode))
        self._names.append(name)
        self.fd = child
        return child

    def _close_oldest(self) -> None:
        position = len(self._stack) - WINDOW // 2
        fd, device, inode = self._stack[position]
        if device and fd >= 0:
            os.close(fd)
            self._stack[position] = (-1, device, inode)

    def up(self) -> int:
        """Leave the current directory; return the descriptor of the one above."""
        fd, device, inode = self._stack.pop()
        self._names.pop()
        if fd < 0:
            fd = os.open(b"..", DIRECTORY, dir_fd=self.fd)
            found = os.fstat(fd)
            if (found.st_dev, found.st_ino) != (device, inode):
                os.close(fd)
                raise WorkspaceError("A directory of the workspace was moved while it was being read")
        os.close(self.fd)
        self.fd = fd
        return fd


def remove(parent: int, name: bytes) -> None:
    """Remove a directory with all it holds, however deep, without following a link. Raises OSError."""
    with Descent(os.open(name, DIRECTORY, dir_fd=parent), limit=sys.maxsize) as descent:
        waiting = [_empty(descent.fd)]
        while True:
            if waiting[-1]:
                child = waiting[-1].pop()
                os.chmod(child, 0o700, dir_fd=descent.fd)
                descent.down(child)
                waiting.append(_empty(descent.fd))
                continue
            waiting.pop()
            if not waiting:
                break
            done = descent.name
            descent.up()
            os.rmdir(done, dir_fd=descent.fd)
    os.rmdir(name, dir_fd=parent)


def _empty(fd: int) -> list[bytes]:
    """Unlink everything in a directory except its sub-directories; return their names."""
    inner = []
    with os.scandir(fd) as listing:
        for item in listing:
            if item.is_dir(follow_symlinks=False):
                inner.append(os.fsencode(item.name))
            else:
                os.unlink(item.name, dir_fd=fd)
    return inner
