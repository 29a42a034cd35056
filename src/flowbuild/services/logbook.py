"""Where the logs of attempts are, and which of them are open for writing."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import structlog

from flowbuild.client.runner import Lease, LogEntry
from flowbuild.core.errors import Conflict, FlowError
from flowbuild.logs.compress import compress
from flowbuild.logs.writer import AttemptLog

log = structlog.get_logger()
OPEN = 256  # logs whose files are at hand: those of attempts that went on at another server are not closed here
COMPOSE = "compose.json"
COMPOSE_MAX = 1 << 20  # characters
WORTH_IT = 64 << 10  # bytes from which a finished log is compressed; a smaller one would save less than a few blocks


class Logbook:
    """One directory per attempt and epoch below `root`. Blocking: call from threads.

    Large logs are compressed when they are finished, one after another and beside everything else.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._open: OrderedDict[Lease, AttemptLog] = OrderedDict()  # used last comes last
        self._lock = threading.Lock()
        self._packer = ThreadPoolExecutor(1, thread_name_prefix="compress-logs")

    def directory(self, lease: Lease) -> Path:
        """Return where the log of an attempt is kept."""
        return self._root / lease.run / lease.step / f"{lease.attempt}.{lease.epoch}"

    def keep_compose(self, lease: Lease, compose: Mapping[str, Any]) -> None:
        """Keep the compose file of an attempt beside its log. It is for people: without room, or too large, it is left out."""
        text = json.dumps(compose)
        directory = self.directory(lease)
        if len(text) > COMPOSE_MAX:
            return
        try:
            directory.mkdir(parents=True, exist_ok=True)
            (directory / f"{COMPOSE}.new").write_text(text, "ascii")
            (directory / f"{COMPOSE}.new").rename(directory / COMPOSE)
        except OSError as error:
            log.warning("compose_not_kept", directory=str(directory), error=str(error))

    def compose(self, lease: Lease) -> Mapping[str, Any] | None:
        """Return the compose file of an attempt, if it is kept."""
        try:
            found: Mapping[str, Any] = json.loads((self.directory(lease) / COMPOSE).read_text("ascii"))
        except (OSError, ValueError):  # never written, or torn by a loss of power
            return None
        return found

    def append(self, lease: Lease, offset: int, entries: Sequence[LogEntry]) -> int:
        """Append at a byte offset; return the next one."""
        return self._log(lease).append(offset, entries)

    def state(self, lease: Lease) -> tuple[int, Mapping[str, int]]:
        """Return the next offset and the time of the last entry by service."""
        found = self._log(lease)
        return found.offset, found.last_times()

    def close(self, lease: Lease) -> None:
        """Finish the log of an attempt that ended."""
        if not self.directory(lease).exists():
            return
        try:
            finished = self._log(lease)
            with self._lock:
                self._open.pop(lease, None)
            size = finished.offset
            try:
                finished.finish()
            finally:
                finished.close()
        except Conflict:  # it was finished elsewhere
            return
        except OSError as error:  # a full disk: what was acknowledged can be read, and nobody writes any more
            log.error("log_not_finished", directory=str(self.directory(lease)), error=str(error))
            return
        if size >= WORTH_IT:
            self._packer.submit(_pack, self.directory(lease))

    def close_all(self) -> None:
        """Close what is open and wait for what is being compressed, for the end of the program."""
        for unfinished in self._open.values():
            unfinished.close()
        self._open.clear()
        self._packer.shutdown()

    def _log(self, lease: Lease) -> AttemptLog:
        with self._lock:
            found = self._open.get(lease)
            if found is None:
                found = self._open[lease] = AttemptLog(self.directory(lease))
                if len(self._open) > OPEN:
                    self._open.popitem(last=False)[1].close()  # whoever uses it just now opens it once more
            self._open.move_to_end(lease)
            return found


def _pack(directory: Path) -> None:
    try:
        compress(directory)
    except (FlowError, OSError) as error:  # a full disk, say: the log is as readable as before
        log.warning("log_not_compressed", directory=str(directory), error=str(error))
