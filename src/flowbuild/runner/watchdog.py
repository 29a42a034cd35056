"""Notices that the program makes no progress any more, whatever it hangs in."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import structlog

log = structlog.get_logger()
SILENCE = 180.0  # seconds; the worker shows itself at least once in a minute


class Watchdog:
    """While the context is open, `act` is called in a thread when `alive` was not for `silence` seconds; once."""

    def __init__(self, act: Callable[[], None], silence: float = SILENCE) -> None:
        self._act = act
        self._silence = silence
        self._seen = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def alive(self) -> None:
        """Say that everything goes on."""
        self._seen.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._seen.set()
        self._thread.join()

    def _watch(self) -> None:
        while self._seen.wait(self._silence):
            if self._over:
                return
            self._seen.clear()
        log.critical("no_progress", seconds=self._silence)
        self._act()
