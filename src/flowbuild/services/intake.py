"""Turns deliveries into runs, each exactly once: what was done is known by the delivery and the pipeline. Blocking."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from flowbuild.core.errors import FlowError, UserError
from flowbuild.core.match import Verdict
from flowbuild.core.sources import SourceEvent, Trust, trust_of
from flowbuild.forges import GENERIC
from flowbuild.services.decisions import Clock
from flowbuild.services.hooks import forge_for
from flowbuild.services.notices import STATUS, status_notice
from flowbuild.services.reactions import Reactions, describe
from flowbuild.services.signals import Signals
from flowbuild.store.database import Database, Transaction
from flowbuild.store.deliveries import DONE, FAILED, IGNORED, RECEIVED, WAITING, DeliveryRow
from flowbuild.store.hooks import HookRow

log = structlog.get_logger()
TRIES = 8  # about four minutes; then the delivery has failed, and people may let it be looked at again
PAUSE_MOST = 60.0
SHARE = 2.0  # seconds after which one call has done enough
CLAIM = 15.0  # seconds in which nobody else looks at a delivery; looking twice at the same time does no harm
APPROVAL = 24 * 3600.0  # seconds that an approval is good for


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What followed. RECEIVED: nothing yet, it is to be tried again."""

    state: str
    result: Mapping[str, Any]
    notices: Sequence[Any] = ()


class IntakeService:
    """Looks at deliveries: those of a project one after another, those of different projects side by side."""

    def __init__(self, *, database: Database, reactions: Reactions, signals: Signals, clock: Clock) -> None:
        self._database = database
        self._reactions = reactions
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
            if outcome.notices:
                self._signals.notify(STATUS)
        return looked

    def _next(self, tx: Transaction, project: str) -> DeliveryRow | None:
        now = self._clock()
        return tx.deliveries.claim(project, now, now + CLAIM)

    def _outcome(self, row: DeliveryRow) -> _Outcome:
        """Return what follows from a delivery, having done it; a delivery that breaks us must not stop those behind it."""
        with self._database.read() as tx:
            hook = tx.hooks.get(row.hook)
        if hook is None:
            return _Outcome(IGNORED, {"note": "the webhook was removed"})
        try:
            return self._look(row, hook)
        except Exception as error:  # noqa: BLE001 (see above)
            return self._failed(row, error)

    def _settle(self, tx: Transaction, row: DeliveryRow, outcome: _Outcome) -> None:
        if outcome.state == RECEIVED:
            tx.deliveries.postpone(row.id, self._clock() + min(2.0 ** (row.tries - 1), PAUSE_MOST), outcome.result)
        else:
            tx.deliveries.settle(row.id, outcome.state, outcome.result)
        for notice in outcome.notices:
            if tx.runs.owner(notice.run):
                tx.notices.add(notice)

    def _look(self, row: DeliveryRow, hook: HookRow) -> _Outcome:
        """Return what follows from a delivery, having done it."""
        forge = forge_for(hook)
        parsed = forge.parse(row.headers, row.body)
        told, notices, waits = [], [], []
        for index, event in enumerate(parsed.events):
            try:
                verdicts = self._reactions.judge(row.project, event)
            except UserError as error:
                told.append({**describe(event), "problem": error.message})
                continue
            self._supersede(row, event)
            if self._asks_first(row, event, verdicts):
                waits.append(event)
                told.append({**describe(event), "pipelines": [_shown(verdict) for verdict in verdicts]})
                continue
            about = {**describe(event), "delivery": row.id, "hook": hook.name, "forge": hook.kind}
            if row.approved_by:
                about["approved_by"] = row.approved_by
            done = self._reactions.begin(row.project, event, verdicts, f"{row.id}/{index}", about)
            told.append({**describe(event), "pipelines": [reaction.told() for reaction in done]})
            if hook.sealed_token and hook.kind != GENERIC:
                runs = [reaction.run for reaction in done if reaction.run]
                notices += [status_notice(run, hook, event, self._clock()) for run in runs]
        if waits:
            return _Outcome(WAITING, {"events": told, "commit": waits[0].commit, **_request(waits[0])}, notices)
        began = any("run" in each for event in told for each in event.get("pipelines", ()))
        return _Outcome(DONE if began else IGNORED, {"events": told, "note": parsed.note}, notices)

    def _asks_first(self, row: DeliveryRow, event: SourceEvent, verdicts: Sequence[Verdict]) -> bool:
        """Whether somebody has to look at what comes from outside before it runs."""
        if trust_of(event, branches=()) is not Trust.UNTRUSTED or not any(verdict.starts for verdict in verdicts):
            return False
        return row.approved_at is None or self._clock() - row.approved_at > APPROVAL

    def _supersede(self, row: DeliveryRow, event: SourceEvent) -> None:
        """What older deliveries of the same pull request wait for is of no use any more."""
        if event.pull_request is None:
            return
        with self._database.write() as tx:
            for older in tx.deliveries.waiting(row.hook):
                if (
                    older.result.get("pull_request") == event.pull_request.number
                    and older.received_at < row.received_at
                ):
                    _settle_older(tx, older)

    def _failed(self, row: DeliveryRow, error: Exception) -> _Outcome:
        message = error.message if isinstance(error, FlowError) else "something broke here; the server's log says what"
        lasting = isinstance(error, UserError) or row.tries >= TRIES
        log.error("delivery_failed", tries=row.tries, lasting=lasting, exc_info=error)
        return _Outcome(FAILED if lasting else RECEIVED, {"problem": message})


def _settle_older(tx: Transaction, older: DeliveryRow) -> None:
    tx.deliveries.settle(older.id, IGNORED, {**older.result, "note": "a later delivery took its place"})


def _request(event: SourceEvent) -> dict[str, Any]:
    return {"pull_request": event.pull_request.number} if event.pull_request else {}


def _shown(verdict: Verdict) -> dict[str, Any]:
    return {"pipeline": verdict.pipeline, "why": verdict.why, "starts": verdict.starts}
