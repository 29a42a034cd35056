"""Where the logs of attempts are, and which of them are open for writing."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from flowbuild.client.runner import Lease, LogEntry
from flowbuild.logs.writer import AttemptLog


class Logbook:
    """One directory per attempt and epoch below `root`. Blocking: call from threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._open: dict[Lease, AttemptLog] = {}
        self._lock = threading.Lock()

    def directory(self, lease: Lease) -> Path:
        """Return where the log of an attempt is kept."""
        return self._root / lease.run / lease.step / f"{lease.attempt}.{lease.epoch}"

    def append(self, lease: Lease, offset: int, entries: Sequence[LogEntry]) -> int:
        """Append at a byte offset; return the next one."""
        return self._log(lease).append(offset, entries)

    def state(self, lease: Lease) -> tuple[int, Mapping[str, int]]:
        """Return the next offset and the time of the last entry by service."""
        log = self._log(lease)
        return log.offset, log.last_times()

    def close(self, lease: Lease) -> None:
        """Finish the log of an attempt that ended."""
        with self._lock:
            log = self._open.pop(lease, None)
        if log is not None:
            log.finish()

    def close_all(self) -> None:
        """Close what is open, for the end of the program."""
        for log in self._open.values():
            log.close()
        self._open.clear()

    def _log(self, lease: Lease) -> AttemptLog:
        with self._lock:
            log = self._open.get(lease)
            if log is None:
                log = self._open[lease] = AttemptLog(self.directory(lease))
            return log
