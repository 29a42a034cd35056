"""Wake-ups between the parts of one process, so that nobody polls: a topic changes, whoever waits for it goes on.

A waiter takes a token first, looks at the state, then waits: a change in between is never missed. Topics come and go
with runs, so what is known of them is bounded: beyond LIMIT all are forgotten at once, which looks like a change of each.
Servers that share a database pass on to each other what changes (see `services.shared_owners`).
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

LIMIT = 4096  # topics that are remembered
# What is passed on: a topic that changed, a key below it and the word that is now said about that; both empty if none is.
News = tuple[str, str, str]
_Waiter = tuple[asyncio.AbstractEventLoop, asyncio.Event]


class Signals:
    """Topics by name. `notify` may be called from any thread, `wait` from any event loop."""

    def __init__(self) -> None:
        self._pass_on: Callable[[Iterable[News]], None] | None = None
        self._words: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self._lock = threading.Lock()
        self._count = 0
        self._forgotten = 0  # the count when the topics without a version were forgotten
        self._versions: dict[str, int] = {}
        self._waiting: defaultdict[str, set[_Waiter]] = defaultdict(set)
        self._followers: set[Following] = set()

    def token(self, topic: str) -> int:
        """Return what to hand to `wait` after the state was looked at."""
        with self._lock:
            return self._version(topic)

    def notify(self, *topics: str) -> None:
        """Say that something about the topics changed."""
        self._wake(topics)
        if self._pass_on is not None:
            self._pass_on((topic, "", "") for topic in topics)

    def say(self, topic: str, key: str, word: str) -> None:
        """Keep a word about something below a topic, an empty one: none any more; it is not stored, and may be lost."""
        self.hear([(topic, key, word)])
        if self._pass_on is not None:
            self._pass_on([(topic, key, word)])

    def said(self, topic: str) -> Mapping[str, str]:
        """Return the last words about what is below a topic, by key."""
        with self._lock:
            return dict(self._words.get(topic, {}))

    def share(self, pass_on: Callable[[Iterable[News]], None]) -> None:
        """Pass on what is said and notified here, to others who let theirs `hear` it."""
        self._pass_on = pass_on

    def hear(self, news: Iterable[News]) -> None:
        """Take in what was said elsewhere."""
        news = tuple(news)
        with self._lock:
            for topic, key, word in news:
                if word:
                    self._words[topic][key] = word
                elif key:
                    self._words[topic].pop(key, None)
                    if not self._words[topic]:
                        del self._words[topic]
        self._wake([topic for topic, _key, _word in news])

    def _wake(self, topics: Sequence[str]) -> None:
        with self._lock:
            self._count += 1
            waiting: list[_Waiter] = []
            for topic in topics:
                self._versions[topic] = self._count
                waiting.extend(self._waiting.pop(topic, ()))
            waiting.extend(waiter for each in self._followers for waiter in each.add(topics))
            if len(self._versions) > LIMIT:
                self._forget()
        _set(waiting)

    def notify_all(self) -> None:
        """Wake everybody: another process changed something."""
        with self._lock:
            self._count += 1
            self._forget()  # also for those who look at the state now, to wait next
            waiting = [waiter for waiters in self._waiting.values() for waiter in waiters]
            waiting.extend(waiter for each in self._followers for waiter in each.add(None))
            self._waiting.clear()
        _set(waiting)

    async def wait(self, topic: str, token: int, timeout: float | None = None) -> bool:  # noqa: ASYNC109 (a long poll: running out of time is a normal answer)
        """Return True as soon as the topic changed after `token` was taken, False after `timeout` seconds."""
        event = asyncio.Event()
        entry = (asyncio.get_running_loop(), event)
        with self._lock:
            if self._version(topic) != token:
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
                if not self._waiting[topic]:
                    del self._waiting[topic]
        return True

    def follow(self, *prefixes: str) -> Following:
        """Collect the topics with one of some prefixes that change from now on; a context manager."""
        return Following(prefixes, self._lock, self._followers)

    def _version(self, topic: str) -> int:
        return self._versions.get(topic, self._forgotten)

    def _forget(self) -> None:
        self._versions.clear()
        self._forgotten = self._count


class Following:
    """Topics that changed and were not asked for yet, each once however often it changed. For one reader."""

    def __init__(self, prefixes: tuple[str, ...], lock: threading.Lock, followers: set[Following]) -> None:
        self._prefixes = prefixes
        self._lock = lock
        self._followers = followers
        self._changed: set[str] = set()
        self._all = False
        self._waiter: _Waiter | None = None

    async def changed(self) -> frozenset[str] | None:
        """Wait until something changed; return what. None: everything may have changed."""
        event = asyncio.Event()
        with self._lock:
            if not self._changed and not self._all:
                self._waiter = (asyncio.get_running_loop(), event)
            else:
                event.set()
        await event.wait()
        with self._lock:
            found, everything = frozenset(self._changed), self._all
            self._changed.clear()
            self._all, self._waiter = False, None
        return None if everything else found

    def add(self, topics: Sequence[str] | None) -> list[_Waiter]:
        """Take in what changed, under the lock of the signals; return whom to wake. None: everything."""
        if topics is None:
            self._all = True
        else:
            self._changed.update(topic for topic in topics if topic.startswith(self._prefixes))
        return [self._waiter] if self._waiter is not None and (self._all or self._changed) else []

    def __enter__(self) -> Self:
        with self._lock:
            self._followers.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._followers.discard(self)


def _set(waiters: list[_Waiter]) -> None:
    for loop, event in waiters:
        if not loop.is_closed():
            loop.call_soon_threadsafe(event.set)
