"""Keeps processes that share a home directory from sweeping away what another one is just beginning."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Gate:
    """A lock file: many may begin something at once, a sweep is alone. The kernel opens it again when a holder dies."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def beginning(self) -> Iterator[None]:
        """Hold the gate open while something is made known that a sweep must keep."""
        with self._held(fcntl.LOCK_SH):
            yield

    @contextmanager
    def sweeping(self) -> Iterator[None]:
        """Hold the gate closed from looking at what is known until everything else is removed."""
        with self._held(fcntl.LOCK_EX):
            yield

    @contextmanager
    def _held(self, kind: int) -> Iterator[None]:
        with self._path.open("ab") as file:
            fcntl.flock(file, kind)
            yield
