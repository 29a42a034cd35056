"""The claims that are open in this process: who asks for work, and who is answered when there is some."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

from flowbuild.client.runner import Assignment
from flowbuild.core.ids import runner_name
from flowbuild.services.decisions import QUEUE
from flowbuild.services.signals import Signals


@dataclass(frozen=True, slots=True, eq=False)
class Poll:
    """A claim that found nothing and waits. Who takes it out of the others answers it: None means to look again."""

    runner: str
    request_key: str
    answer: Future[Assignment | None] = field(default_factory=Future)


class Polls:
    """All of them. Used by the event loop and by threads."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._waiting: dict[Poll, None] = {}  # a key may be there twice: its answer was lost
        self._asking: Counter[str] = Counter()  # those that look or wait, by the name of the runner
        self._left_for: set[str] = set()  # runners that others left something for

    @contextmanager
    def asking(self, runner: str) -> Iterator[None]:
        """Count a runner among those that ask. When it does not ask any more, what was left for it is for others to look at."""
        name = runner_name(runner)
        self._asking[name] += 1
        try:
            yield
        finally:
            self._asking[name] -= 1
            if not self._asking[name] and name in self._left_for:
                self._left_for.discard(name)
                self._signals.notify(QUEUE)

    def names(self) -> Collection[str]:
        """Return the names of the runners that ask just now."""
        return {name for name, number in list(self._asking.items()) if number}

    def leave_for(self, names: Collection[str]) -> None:
        """Remember for which runners something was left."""
        self._left_for.update(names)

    async def wait(self, runner: str, request_key: str, token: int, seconds: float) -> Assignment | None:
        """Wait for a change of the queue since `token`, or until somebody has an answer; None: look again."""
        poll = Poll(runner, request_key)
        self._waiting[poll] = None
        try:
            await self._signals.wait(QUEUE, token, seconds)
        finally:
            taken = self._waiting.pop(poll, poll) is poll
        return await asyncio.wrap_future(poll.answer) if taken else None

    def take(self, preferred: str) -> Poll | None:
        """Take a claim that waits, to answer it: if there is one, of the runner of that name."""
        waiting = list(self._waiting)
        first = next((poll for poll in waiting if runner_name(poll.runner) == preferred), None)
        for poll in [first, *reversed(waiting)] if first is not None else reversed(waiting):
            if self._waiting.pop(poll, poll) is None:
                return poll if poll.answer.set_running_or_notify_cancel() else None
        return None
