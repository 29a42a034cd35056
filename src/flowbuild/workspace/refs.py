"""Refs of a bare repository: read, list, and move by compare-and-swap, as stock git does it but without a process.

A ref is a file `refs/...` with an object id, or a line of `packed-refs`. It is written to `<ref>.lock` and renamed, so
readers see the old or the new id and a killed writer changes nothing. Writers of ours exclude one another by `flock`
(given back by the kernel when a process dies); the lock file is only for stock git, and one that is old is a leftover.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from flowbuild.core.errors import Conflict, InvalidRequest, WorkspaceError
from flowbuild.workspace.durable import Syncer

_NAME = re.compile(r"refs/(?:[A-Za-z0-9_][A-Za-z0-9_.-]*/)*[A-Za-z0-9_][A-Za-z0-9_.-]*")
_OID = re.compile(r"[0-9a-f]{64}")
_STALE = 2.0  # seconds after which a lock file cannot be a living git: it holds one for milliseconds
_POLL = 0.01


class StaleRef(Conflict):
    """A ref is not where the writer believed it to be."""

    code = "stale_ref"


class Refs:
    """The refs of one repository. Safe for several threads and processes."""

    def __init__(self, git_dir: Path) -> None:
        self._git_dir = git_dir
        self._syncer = Syncer(git_dir)
        self._mutex = threading.RLock()  # flock does not exclude threads that share a descriptor
        self._depth = 0

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep every other writer of ours out; may be nested."""
        with self._mutex:
            if self._depth:
                self._depth += 1
                try:
                    yield
                finally:
                    self._depth -= 1
                return
            descriptor = os.open(self._git_dir / "flow.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                self._depth = 1
                yield
            finally:
                self._depth = 0
                os.close(descriptor)

    def read(self, name: str) -> str | None:
        """Return the object id a ref points to, or None when there is no such ref.

        Raises WorkspaceError when its file holds something else, e.g. after a power failure.
        """
        path = self._path(name)
        try:
            text = path.read_text("ascii", "replace").strip()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return self._packed().get(name)
        if not _OID.fullmatch(text):
            raise WorkspaceError(f"damaged ref {name} in {self._git_dir}", hint="restart the run from an earlier step")
        return text

    def list(self, prefix: str) -> dict[str, str]:
        """Return the refs whose name begins with `prefix` (which ends in a slash), sorted by name."""
        found = {name: oid for name, oid in self._packed().items() if name.startswith(prefix)}
        top = self._git_dir / "refs" if prefix == "refs/" else self._path(prefix.rstrip("/"))
        for directory, _, files in os.walk(top):
            for file in files:
                name = f"{Path(directory).relative_to(self._git_dir)}/{file}"
                if _is_name(name) and (oid := self.read(name)):
                    found[name] = oid
        return dict(sorted(found.items()))

    def update(self, name: str, new: str, *, old: str | None, durable: bool = False) -> None:
        """Point a ref to `new` if it points to `old` (None: if it does not exist); StaleRef otherwise.

        `durable`: return when it would survive a loss of power; the objects must be on the disk before.
        """
        path = self._path(name)
        with self.exclusive():
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = path.with_name(path.name + ".lock")
            with os.fdopen(_take(lock), "w") as file:
                file.write(new + "\n")
                if durable:  # before it gets its name: an empty ref would be a damaged one
                    file.flush()
                    os.fsync(file.fileno())
            found = self.read(name)
            if found != old:
                lock.unlink()
                raise StaleRef(f"{name} is at {found or 'nothing'}, not at {old or 'nothing'}")
            lock.replace(path)
            if durable:
                self._syncer.names(path.parent)

    def remove(self, name: str) -> None:
        """Remove a ref that is a file of its own; nothing happens when there is none."""
        with self.exclusive():
            self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        if not _is_name(name):
            raise InvalidRequest(f"not a ref name: {name!r}")
        return self._git_dir / name

    def _packed(self) -> dict[str, str]:
        try:
            lines = (self._git_dir / "packed-refs").read_text("utf-8", "replace").splitlines()
        except FileNotFoundError:
            return {}
        pairs = (line.partition(" ") for line in lines if not line.startswith(("#", "^")))
        return {name: oid for oid, _, name in pairs if _OID.fullmatch(oid) and _is_name(name)}


def _is_name(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and ".." not in name and not any(p.endswith(".lock") for p in name.split("/"))


def _take(lock: Path) -> int:
    """Create a lock file as git does; wait for one that is in use, take over one that is left over."""
    while True:
        with contextlib.suppress(FileExistsError):
            return os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with contextlib.suppress(FileNotFoundError):
            if time.time() - lock.stat().st_mtime > _STALE:
                lock.unlink()
                continue
        time.sleep(_POLL)
