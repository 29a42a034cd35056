"""Turns deliveries into runs, each exactly once: what was done is known by the delivery and the pipeline. Blocking."""

from __future__ import annotations

import time
from collections.abc import Mapping

import structlog

from flowbuild.core.errors import FlowError, UserError
from flowbuild.services.consequences import Consequences, Outcome
from flowbuild.services.decisions import Clock
from flowbuild.services.missed import is_missed
from flowbuild.services.news import deliveries_topic
from flowbuild.services.notices import STATUS
from flowbuild.services.signals import Signals
from flowbuild.store.database import Database, Transaction
from flowbuild.store.deliveries import FAILED, IGNORED, RECEIVED, DeliveryRow

log = structlog.get_logger()
TRIES = 8  # about four minutes; then the delivery has failed, and people may let it be looked at again
PAUSE_MOST = 60.0
SHARE = 2.0  # seconds after which one call has done enough
CLAIM = 15.0  # seconds in which nobody else looks at a delivery; looking twice at the same time does no harm


class IntakeService:
    """Looks at deliveries: those of a project one after another, those of different projects side by side."""

    def __init__(self, *, database: Database, consequences: Consequences, signals: Signals, clock: Clock) -> None:
        self._database = database
        self._consequences = consequences
        self._signals = signals
        self._clock = clock

    def pending(self) -> Mapping[str, float]:
        """Return the projects whose deliveries wait, and when the first of each may be looked at."""
        with self._database.read() as tx:
            return tx.deliveries.pending()

    def work(self, project: str) -> int:
        """Look at deliveries of a project that wait, one after another; return how many: none when it is too early.

        After some time it returns although there are more, so that whoever called it can be stopped.
        """
        with self._database.write() as tx:
            row = self._next(tx, project)
        looked, enough = 0, time.monotonic() + SHARE
        while row is not None:
            looked += 1
            with structlog.contextvars.bound_contextvars(delivery=row.id):
                outcome = self._outcome(row)
            with self._database.write() as tx:
                self._settle(tx, row, outcome)
                row = self._next(tx, project) if time.monotonic() < enough else None
            self._signals.notify(deliveries_topic(project), *([STATUS] if outcome.notices else []))
        return looked

    def _next(self, tx: Transaction, project: str) -> DeliveryRow | None:
        now = self._clock()
        return tx.deliveries.claim(project, now, now + CLAIM)

    def _outcome(self, row: DeliveryRow) -> Outcome:
        """Return what follows from a delivery, having done it; a delivery that breaks us must not stop those behind it."""
        with self._database.read() as tx:
            hook = tx.hooks.get(row.hook)
        if hook is None:
            return Outcome(IGNORED, {"note": "the webhook was removed"})
        try:
            return self._consequences.of(row, hook)
        except Exception as error:  # noqa: BLE001 (see above)
            return self._failed(row, error)

    def _settle(self, tx: Transaction, row: DeliveryRow, outcome: Outcome) -> None:
        if outcome.state == RECEIVED:
            tx.deliveries.postpone(row.id, self._clock() + min(2.0 ** (row.tries - 1), PAUSE_MOST), outcome.result)
        else:
            tx.deliveries.settle(row.id, outcome.state, outcome.result)
        hook = tx.hooks.get(row.hook)
        if hook is not None:
            found = row.id if is_missed(row) else ""
            for ref, commit in outcome.heads.items():
                tx.source_heads.move(hook.project_id, ref, commit, self._clock(), found)
            if outcome.repository and not found:
                tx.hooks.speaks_of(hook.id, outcome.repository)
        for notice in outcome.notices:
            if notice.run is None:
                tx.notices.put(notice)
            elif tx.runs.owner(notice.run):
                tx.notices.add(notice)

    def _failed(self, row: DeliveryRow, error: Exception) -> Outcome:
        message = error.message if isinstance(error, FlowError) else "something broke here; the server's log says what"
        lasting = isinstance(error, UserError) or row.tries >= TRIES
        log.error("delivery_failed", tries=row.tries, lasting=lasting, exc_info=error)
        return Outcome(FAILED if lasting else RECEIVED, {"problem": message})
