"""Wake-ups between the parts of one process, so that nobody polls: a topic changes, whoever waits for it goes on.

A waiter takes a token first, looks at the state, then waits: a change in between is never missed.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict


class Signals:
    """Topics by name. `notify` may be called from any thread, `wait` from any event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._versions: defaultdict[str, int] = defaultdict(int)
        self._waiting: defaultdict[str, set[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = defaultdict(set)

    def token(self, topic: str) -> int:
        """Return what to hand to `wait` after the state was looked at."""
        with self._lock:
            return self._versions[topic]

    def notify(self, *topics: str) -> None:
        """Say that something about the topics changed."""
        with self._lock:
            waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
            for topic in topics:
                self._versions[topic] += 1
                waiting.extend(self._waiting.pop(topic, ()))
        for loop, event in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    def notify_all(self) -> None:
        """Wake everybody: another process changed something."""
        with self._lock:
            topics = list(self._versions)  # also those that somebody looks at now, to wait for them next
        self.notify(*topics)

    async def wait(self, topic: str, token: int, timeout: float | None = None) -> bool:  # noqa: ASYNC109 (a long poll: running out of time is a normal answer)
        """Return True as soon as the topic changed after `token` was taken, False after `timeout` seconds."""
        event = asyncio.Event()
        entry = (asyncio.get_running_loop(), event)
        with self._lock:
            if self._versions[topic] != token:
                return True
            self._waiting[topic].add(entry)
        try:
            async with asyncio.timeout(timeout):
                await event.wait()
        except TimeoutError:
            return False
        finally:
            with self._lock:
                self._waiting[topic].discard(entry)
        return True
