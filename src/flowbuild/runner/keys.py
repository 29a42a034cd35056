"""The key of a runner and, while it changes, the one that follows. What the server may know of is on the disk before."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from flowbuild.runner.identity import Identity, keep_identity


class Keys:
    """The keys in the file of an identity; `make` makes one. Safe for several threads; all but `current` and `other` block."""

    def __init__(self, path: Path, identity: Identity, make: Callable[[], str]) -> None:
        self._path = path
        self._identity = identity
        self._make = make
        self._lock = threading.Lock()

    @property
    def current(self) -> str:
        """The key that was good last."""
        return self._identity.key

    def other(self, key: str) -> str:
        """Return what else may be good when a key is refused: the next one, or the one that took its place; "" for nothing."""
        identity = self._identity
        return identity.next_key if key == identity.key else identity.key

    def prepare(self) -> str:
        """Return the next key, kept before anybody hears of it; the same until it has been used."""
        with self._lock:
            if not self._identity.next_key:
                self._keep(replace(self._identity, next_key=self._make()))
            return self._identity.next_key

    def used(self, key: str) -> None:
        """Take note that a key was good: if it is the next one, there is no other any more."""
        with self._lock:
            if key and key == self._identity.next_key:
                self._keep(replace(self._identity, key=key, next_key=""))

    def _keep(self, identity: Identity) -> None:
        keep_identity(self._path, identity)
        self._identity = identity
