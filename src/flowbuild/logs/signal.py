"""How readers in the same process learn that a log grew."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition


class LogSignal:
    """Counts changes of one log; threads wait for the next one, event loops subscribe. All methods are thread-safe."""

    def __init__(self) -> None:
        self._condition = Condition()
        self._changes = 0
        self._callbacks: list[Callable[[], None]] = []

    @property
    def changes(self) -> int:
        """Return how many changes there were."""
        return self._changes

    def notify(self) -> None:
        """Say that the log changed."""
        with self._condition:
            self._changes += 1
            self._condition.notify_all()
            callbacks = tuple(self._callbacks)
        for callback in callbacks:
            callback()

    def wait(self, seen: int, timeout: float) -> bool:
        """Wait until there were more than `seen` changes, at most `timeout` seconds; return whether there were."""
        with self._condition:
            return self._condition.wait_for(lambda: self._changes > seen, timeout)

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` after every change, in the thread that made it (a loop uses `call_soon_threadsafe`).

        Returns the function that ends the subscription.
        """
        with self._condition:
            self._callbacks.append(callback)

        def unsubscribe() -> None:
            with self._condition:
                self._callbacks.remove(callback)

        return unsubscribe
