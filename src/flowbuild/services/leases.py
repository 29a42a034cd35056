"""Leases of runners on other machines that ran out: what becomes of the attempts. Blocking: call from threads.

The embedded runner has no part in this: it lives and dies with the program that drives its runs.
"""

from __future__ import annotations

import structlog

from flowbuild.core.events import AttemptLost
from flowbuild.core.ids import runner_name
from flowbuild.core.states import Outcome, Reason
from flowbuild.services.decisions import Clock, Decisions
from flowbuild.services.news import runner_topic
from flowbuild.services.notices import node_news
from flowbuild.store.attempts import LIVE, AttemptRow
from flowbuild.store.database import Database, Transaction

log = structlog.get_logger()
MARGIN = 15.0  # seconds after the end of a lease until it counts as run out: the clocks of runners go as they like


class Leases:
    """The leases on attempts of one owner's runs."""

    def __init__(self, *, database: Database, decisions: Decisions, owner: str, clock: Clock) -> None:
        self._database = database
        self._decisions = decisions
        self._owner = owner
        self._clock = clock

    def renew(self) -> None:
        """Let all leases begin anew: nobody was there to hear whether their holders live."""
        with self._database.write() as tx:
            tx.attempts.renew_all(self._owner, self._clock())

    def expire(self) -> float | None:
        """Give up the attempts whose leases ran out; return when to look for the next ones."""
        with self._database.read() as tx:
            overdue = tx.attempts.overdue(self._owner, self._clock() - MARGIN)
        for row in overdue:
            self._give_up(row)
        with self._database.read() as tx:
            next_end = tx.attempts.next_overdue(self._owner)
        return None if next_end is None else next_end + MARGIN

    def _give_up(self, seen: AttemptRow) -> None:
        key, name = seen.key, runner_name(seen.runner)
        with self._database.write() as tx:
            tx.runs.lock(key.run)
            row = tx.attempts.get(key)
            if row is None or row.state not in LIVE or row.lease_until != seen.lease_until:
                return  # its runner was just heard of
            silent = f"was not heard of for {row.lease_seconds + MARGIN:.0f} s"
            message = f"runner {name} {silent if row.lease_until else 'was revoked'}"
            log.warning("lease_over", run=key.run, step=key.step, attempt=key.attempt, epoch=key.epoch, runner=name)
            self._decisions.apply_in(tx, key.run, [AttemptLost(key.step, key.attempt, key.epoch, message)])
            self._close(tx, row, message)
            if row.lease_until:  # else somebody sent it away
                node_news(tx, key.run, row.runner, message, self._clock())
            tx.topics.add(runner_topic(name))
        self._decisions.announce(key.run, tx.topics, tx.others)

    def _close(self, tx: Transaction, row: AttemptRow, message: str) -> None:
        """Close the row of an attempt, unless it was offered again under a higher epoch."""
        if tx.attempts.get(row.key) is not None:
            tx.attempts.finish(
                row.key,
                outcome=Outcome.ERRORED,
                reason=Reason.INFRA_LOST,
                message=message,
                exit_code=None,
                commit=None,
                now=self._clock(),
            )
