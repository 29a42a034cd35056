"""The keys of runners: whose key that is, and how a new one takes the place of an old one. Blocking: call from threads.

A runner makes its next key itself and keeps it before it announces it here; so it can be told so again and again. The key
before opens everything until the next one is used for the first time: whoever dies in between, one of the two is good.
"""

from __future__ import annotations

from flowbuild.auth.tokens import TokenKind, fingerprint, kind_of
from flowbuild.core.access import Principal
from flowbuild.core.errors import Conflict, InvalidRequest, NotFound, Unauthenticated
from flowbuild.services.audit import Actor, note
from flowbuild.services.decisions import ORDERS, Clock
from flowbuild.services.news import runner_topic
from flowbuild.services.registration import inside_servers
from flowbuild.services.signals import Signals
from flowbuild.store.database import Database
from flowbuild.store.runners import RunnerRow

DAY = 86_400.0


class RunnerKeys:
    """Knows and changes them. A key of `max_days` opens nothing any more, after half of that a new one is asked for; 0: never."""

    def __init__(self, database: Database, signals: Signals, clock: Clock, *, max_days: int = 0) -> None:
        self._database = database
        self._signals = signals
        self._clock = clock
        self._seconds = max_days * DAY

    def principal(self, key: str) -> Principal:
        """Return whose key that is; raises Unauthenticated. The first use of a next key ends the one before."""
        hashed = fingerprint(key)
        with self._database.read() as tx:
            row = tx.runners.by_key(hashed)
            announced = row is None and tx.runners.by_next_key(hashed) is not None
        if announced:
            row = self._take(hashed)
        if row is None or row.state == "revoked":
            raise Unauthenticated(
                "the runner is not known (any more)", hint="register it anew: flow runner --code CODE"
            )
        ends = self.ends_at(row)
        if ends is not None and ends <= self._clock():
            raise Unauthenticated(
                f"the key of runner {row.name} is older than {self._seconds / DAY:.0f} days",
                hint=f"flow runners revoke {row.name}, then register it anew: flow runners add",
            )
        return Principal("runner", row.id, row.name)

    def ends_at(self, row: RunnerRow) -> float | None:
        """Return when the key of a runner opens nothing any more, in seconds since the epoch; None: never."""
        return row.key_since + self._seconds if self._seconds and not row.embedded else None

    def wanted(self, name: str) -> bool:
        """Whether the runner of a name is to make a new key now."""
        with self._database.read() as tx:
            row = tx.runners.by_name(name)
        return row is not None and self.is_wanted(row)

    def is_wanted(self, row: RunnerRow) -> bool:
        """Whether a runner is to make a new key now: somebody asked for it, or the one it has is old."""
        old = bool(self._seconds) and row.key_since + self._seconds / 2 <= self._clock()
        return row.state != "revoked" and not row.embedded and (old or row.key_wanted_at is not None)

    def rotate(self, name: str, by: Actor) -> None:
        """Have a runner make a new key, at its next heartbeat. Raises NotFound, Conflict for one that was revoked."""
        now = self._clock()
        with self._database.write() as tx:
            row = tx.runners.by_name(name)
            if row is None:
                raise NotFound(f"there is no runner {name!r}")
            if row.embedded:
                raise inside_servers(name)
            if row.state == "revoked":
                raise Conflict(f"runner {name!r} was revoked", hint="register it anew")
            tx.runners.want_key(name, now)
            note(tx, now, by, "runner.rotate", name)
        self._signals.notify(ORDERS, runner_topic(name))

    def announce(self, name: str, key: str) -> None:
        """Take note of the next key of a runner. Raises InvalidRequest, Conflict. Saying it again changes nothing."""
        if kind_of(key) is not TokenKind.RUNNER:
            raise InvalidRequest(f"that is not the key of a runner: one begins with {TokenKind.RUNNER}")
        hashed, now = fingerprint(key), self._clock()
        with self._database.write() as tx:
            holder = tx.runners.by_key(hashed) or tx.runners.by_next_key(hashed)
            if holder is None:
                tx.runners.announce_key(name, hashed, now)
            elif holder.name != name:
                raise Conflict("another runner has that key", hint="make another one")

    def _take(self, hashed: str) -> RunnerRow | None:
        """Put an announced key in the place of the one before; somebody else may have done it just now."""
        with self._database.write() as tx:
            taken = tx.runners.take_key(hashed)
            row = tx.runners.by_key(hashed)
            if taken and row is not None:
                note(tx, self._clock(), Actor(f"runner {row.name}"), "runner.new_key", row.name)
        if taken and row is not None:
            self._signals.notify(runner_topic(row.name))
        return row
