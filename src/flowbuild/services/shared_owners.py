"""Which processes drive runs when they share a PostgreSQL database, on one machine or on several.

Each hears what the others notify, so whoever waits for something here is woken by what happens there.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress

from flowbuild.core.errors import StoreError
from flowbuild.services.signals import News, Signals
from flowbuild.store.database import Database
from flowbuild.store.owners import EVERYBODY
from flowbuild.store.presence import Presence

# All lose their connections when the database is started anew, and are back sooner than this.
PATIENCE = 3.0


class SharedOwners:
    """See `services.owners.Owners`: an owner is a session that holds a lock, wake-ups are notifications."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._presence = Presence(database.address)
        self._signals: Signals | None = None
        self._minded: set[str] = set()
        self.token = ""
        self.patience = PATIENCE
        self.hears_all = False

    def claim(self, token: str = "") -> None:
        """See Owners."""
        self.token = token or uuid.uuid4().hex[:16]
        self._presence.begin(self.token, self._heard)
        self.wake(EVERYBODY)  # that there is one more to mind

    def listen(self, signals: Signals) -> None:
        """See Owners."""
        self._signals = signals
        signals.share(self._presence.tell)
        self.hears_all = True

    def wake(self, token: str) -> None:
        """See Owners; who tells nobody else what it does wakes all of them."""
        token = token if self.hears_all else EVERYBODY
        with suppress(StoreError), self._database.write() as tx:
            tx.owners.tell(token)

    def dead(self, tokens: Iterable[str]) -> list[str]:
        """See Owners; raises StoreError. While the database comes back also those are missing who come back, too."""
        living = self._living()
        return [token for token in tokens if token != self.token and token not in living]

    def mind(self, token: str, signals: Signals) -> None:
        """See Owners."""
        if token in self._minded:
            return
        self._minded.add(token)

        def gone() -> None:
            self._minded.discard(token)  # perhaps it only lost its connection: then it can be minded again
            signals.notify_all()

        self._presence.outlive(token, gone)

    def living(self) -> frozenset[str]:
        """See Owners; raises StoreError."""
        return self._living() - {self.token}

    def release(self) -> None:
        """See Owners."""
        self._presence.end()

    close = release

    def _living(self) -> frozenset[str]:
        with self._database.read() as tx:
            return tx.owners.living()

    def _heard(self, news: Sequence[News] | None) -> None:
        if self._signals is None:
            return
        if news is None:
            self._signals.notify_all()
        else:
            self._signals.hear(news)
