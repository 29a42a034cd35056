"""Which processes drive runs, and which of those are dead.

`Ownership` is for processes of one machine: every driving process holds an exclusive lock on a file of its own for as long
as it lives; the kernel gives it back when the process dies, however it dies. A datagram socket beside it lets other
processes say "look again". `services.shared_owners` does the same with a PostgreSQL database.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from flowbuild.services.signals import Signals


class Owners(Protocol):
    """Owners by token, a name that is never used again. Blocking, apart from `listen` and `release`."""

    token: str  # of this process, once `claim` was called
    patience: float  # seconds after which who is missing is dead: until then it may only have lost its connection
    hears_all: bool  # whether all that other processes notify is notified here, once `listen` was called

    def claim(self, token: str = "") -> None:
        """Become an owner, of that name if one is given."""

    def listen(self, signals: Signals) -> None:
        """Pass on wake-ups from other processes, and ours to them; needs a running event loop."""

    def wake(self, token: str) -> None:
        """Tell another owner that one of its runs changed; nothing happens when it is gone."""

    def dead(self, tokens: Iterable[str]) -> list[str]:
        """Return those owners that do not live any more."""

    def mind(self, token: str, signals: Signals) -> None:
        """Wake everybody here when another owner dies."""

    def living(self) -> frozenset[str]:
        """Return all owners that live, without this one."""

    def release(self) -> None:
        """Stop being an owner."""

    def close(self) -> None:
        """Let go of what it takes to look at other owners."""


class Ownership:
    """The owner files below `directory`; `token` names this process once `claim` was called."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.token = ""
        self.patience = 0.0
        self.hears_all = False  # only what concerns runs of its own
        self._lock: int | None = None
        self._socket: socket.socket | None = None
        self._minded: set[str] = set()

    def claim(self, token: str = "") -> None:
        """Become an owner, of that name if one is given."""
        token = token or uuid.uuid4().hex[:16]
        hidden = self._path(token, "new")  # renamed when locked: nobody may find it unlocked and call us dead
        self._lock = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        hidden.rename(self._path(token, "lock"))
        self.token = token

    def listen(self, signals: Signals) -> None:
        """Pass on wake-ups from other processes; needs a running event loop."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        with self._address(self.token) as address:
            self._socket.bind(address)
        asyncio.get_running_loop().add_reader(self._socket, self._woken, signals)

    def _woken(self, signals: Signals) -> None:
        assert self._socket is not None  # noqa: S101 (only called while it is open)
        try:
            while self._socket.recv(64):
                pass
        except BlockingIOError:
            pass
        signals.notify_all()

    def wake(self, token: str) -> None:
        """Tell another owner that one of its runs changed; nothing happens when it is gone."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            with suppress(OSError), self._address(token) as address:
                sender.sendto(b"!", address)

    def dead(self, tokens: Iterable[str]) -> list[str]:
        """Return those owners that do not live any more."""
        return [token for token in tokens if token != self.token and not self._alive(token)]

    def mind(self, token: str, signals: Signals) -> None:
        """Wake everybody here when another owner dies: the kernel hands its lock to a thread that waits for it."""
        if token not in self._minded:
            self._minded.add(token)
            threading.Thread(target=self._outlive, args=(token, signals), daemon=True).start()

    def _outlive(self, token: str, signals: Signals) -> None:
        with suppress(FileNotFoundError), self._opened(token) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        signals.notify_all()

    def living(self) -> frozenset[str]:
        """Return all owners that live, without this one."""
        tokens = [path.stem for path in self._directory.glob("*.lock")]
        return frozenset(tokens) - frozenset(self.dead(tokens)) - {self.token}

    def release(self) -> None:
        """Stop being an owner."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
        for kind in ("sock", "lock"):
            self._path(self.token, kind).unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)

    def close(self) -> None:
        """See Owners: nothing to let go of."""

    def _alive(self, token: str) -> bool:
        try:
            with self._opened(token) as descriptor:  # shared: others who ask just now must not be taken for the owner
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        for kind in ("sock", "lock"):
            self._path(token, kind).unlink(missing_ok=True)
        return False

    @contextmanager
    def _opened(self, token: str) -> Iterator[int]:
        descriptor = os.open(self._path(token, "lock"), os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _address(self, token: str) -> Iterator[str]:
        """Give the socket of an owner a short name: an address holds about 100 bytes, a path may be longer."""
        folder = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            short = Path(f"/proc/self/fd/{folder}")
            yield str((short if short.exists() else self._directory) / f"{token}.sock")
        finally:
            os.close(folder)

    def _path(self, token: str, kind: str) -> Path:
        return self._directory / f"{token}.{kind}"
