"""What a machine keeps of servers elsewhere because it may be needed again, up to a number of bytes.

Sizes are kept as things come and go, so nothing is searched while steps run. A file goes at once; a directory first gets
another name, so that what a killed program leaves of it is not taken for the whole.
"""

from __future__ import annotations

import secrets
import threading
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import structlog

from flowbuild.workspace.slots import remove

log = structlog.get_logger()
GONE = ".gone-"  # how the names of directories begin that are on their way out


class Kept:
    """Files and directories with their sizes, in the order of their last use. Safe for several threads.

    `limit`: bytes that they may take together, 0 for no limit. What somebody holds stays, and counts.
    """

    def __init__(self, limit: int = 0) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._sizes: dict[Path, int] = {}  # used longest ago first
        self._bytes = 0
        self._held: defaultdict[str, set[Path]] = defaultdict(set)
        self._told = False

    @property
    def bytes(self) -> int:
        """Return how much all of it takes."""
        return self._bytes

    @property
    def too_large(self) -> bool:
        """Whether `trim` has something to do."""
        return 0 < self._limit < self._bytes

    def begin(self, found: Iterable[tuple[Path, int]]) -> None:
        """Begin with what is there, used longest ago first; what is held stays held."""
        with self._lock:
            self._sizes = dict(found)
            self._bytes = sum(self._sizes.values())

    def use(self, path: Path, size: int, holder: str = "") -> None:
        """Take note that something is used now, or will be at once, and how large it is; who holds it keeps it."""
        with self._lock:
            self._bytes += size - self._sizes.pop(path, 0)
            self._sizes[path] = size
            if holder:
                self._held[holder].add(path)

    def release(self, holder: str) -> None:
        """Let go of all that somebody holds."""
        with self._lock:
            self._held.pop(holder, None)

    def drop(self, path: Path) -> None:
        """Remove something now, whoever holds it."""
        with self._lock:
            rest = self._take_away(path)
        if rest is not None:
            remove(rest)

    def trim(self) -> list[Path]:
        """Remove what was used longest ago until the rest is small enough; return what is gone. Raises OSError."""
        gone, rests = list[Path](), list[Path | None]()
        with self._lock:
            if self.too_large:
                held = set[Path]().union(*self._held.values())
                for path in [path for path in self._sizes if path not in held]:
                    if not self.too_large:
                        break
                    rests.append(self._take_away(path))
                    gone.append(path)
            if self.too_large and not self._told:
                log.warning("store_too_small", limit=self._limit, in_use=self._bytes)
            self._told = self.too_large
        for rest in rests:
            if rest is not None:
                remove(rest)
        return gone

    def _take_away(self, path: Path) -> Path | None:
        """Let something not be there any more; return where the rest of it is."""
        self._bytes -= self._sizes.pop(path, 0)
        with suppress(FileNotFoundError):
            if path.is_dir():
                return path.rename(path.with_name(f"{GONE}{secrets.token_hex(8)}"))
            path.unlink()
        return None
