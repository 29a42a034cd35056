"""How long to wait before asking a network again that is away."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST, MOST = 0.5, 30.0  # seconds


class Pauses:
    """Each pause is twice the one before, up to half a minute, and by chance up to half as long: bots must not come back all at once."""

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._next = FIRST

    def next(self, at_least: float = 0.0) -> float:
        """Return the seconds to wait now."""
        pause = self._next * (1 - self._chance() / 2)
        self._next = min(2 * self._next, MOST)
        return max(pause, at_least)

    def reset(self) -> None:
        """Begin again with a short one: it worked."""
        self._next = FIRST
