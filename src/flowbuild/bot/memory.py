"""What a bot remembers over its ends: how far it has read, what it said, what it was asked and has not answered."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path

from flowbuild.core.errors import Conflict, WorkspaceError

MOST = 5000  # entries of a table; the oldest are forgotten
SLACK = 2000  # lines that are out of date before the file is written anew


class Memory:
    """Tables of texts in one file, which is appended to; the last line about a name counts. For one process at a time.

    A change is on the disk when the call that made it returns. Raises Conflict when another process has the file,
    WorkspaceError when the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tables: dict[str, dict[str, str]] = {}
        self._stale = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._file = -1
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._read()
                self._write_anew()
            except BaseException:
                self.close()
                raise
        except BlockingIOError as error:
            hint = "one bot per data directory: FLOW_HOME names another one"
            raise Conflict(f"another bot works with {path}", hint=hint) from error
        except OSError as error:
            raise WorkspaceError(f"{path} cannot be used: {error.strerror}") from error

    def table(self, name: str, most: int = MOST) -> Table:
        """Return the table of a name, with its newest `most` entries."""
        return Table(self, name, self._tables.setdefault(name, {}), most)

    def note(self, table: str, key: str, value: str | None) -> None:
        """Write down one change; None: the name is forgotten. For tables."""
        try:
            os.write(self._file, _line(table, key, value))
            os.fdatasync(self._file)
            self._stale += 1
            if self._stale > SLACK + sum(map(len, self._tables.values())):
                self._write_anew()
        except OSError as error:
            raise WorkspaceError(f"{self._path} cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Let another process have the file."""
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._lock = -1

    def _read(self) -> None:
        if not self._path.exists():
            return
        for line in self._path.read_bytes().splitlines():
            try:
                name, key, value = json.loads(line)
            except ValueError:
                continue  # the last line of a life that ended while it wrote: nobody was told that it is kept
            table = self._tables.setdefault(name, {})
            table.pop(key, None)
            if value is not None:
                table[key] = value

    def _write_anew(self) -> None:
        new = self._path.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.writelines(_line(name, *entry) for name, table in self._tables.items() for entry in table.items())
        os.fsync(descriptor)
        new.rename(self._path)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._stale = descriptor, 0


class Table(MutableMapping[str, str]):
    """A table of `Memory`, from the oldest entry to the newest."""

    def __init__(self, memory: Memory, name: str, entries: dict[str, str], most: int) -> None:
        self._memory, self._name, self._entries, self._most = memory, name, entries, most

    def __getitem__(self, key: str) -> str:
        return self._entries[key]

    def __setitem__(self, key: str, value: str) -> None:
        if self._entries.get(key) == value:
            return
        self._entries.pop(key, None)
        self._entries[key] = value
        self._memory.note(self._name, key, value)
        while len(self._entries) > self._most:
            del self[next(iter(self._entries))]

    def __delitem__(self, key: str) -> None:
        del self._entries[key]
        self._memory.note(self._name, key, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _line(table: str, key: str, value: str | None) -> bytes:
    return json.dumps([table, key, value]).encode() + b"\n"
