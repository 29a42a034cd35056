"""Pipelines that follow others (`on: after`): looked for when a run has ended, at the commit that it was made of. Blocking."""

from __future__ import annotations

import structlog

from flowbuild.core.errors import FlowError, UserError
from flowbuild.core.sources import SourceEvent, SourceKind, Trust
from flowbuild.services.decisions import Clock
from flowbuild.services.notices import AFTER
from flowbuild.services.reactions import Reactions
from flowbuild.store.database import Database
from flowbuild.store.notices import Notice
from flowbuild.store.runs import RunRow

log = structlog.get_logger()
AT_ONCE = 20  # notices that are looked at before others are claimed
CLAIM = 60.0  # seconds in which nobody else looks at the same run; looking twice at the same time does no harm
TRIES = 8
PAUSE, PAUSE_MOST = 1.0, 60.0


class FollowService:
    """Begins what follows runs that have ended. Circles are refused when a pipeline file is read, so it ends."""

    def __init__(self, *, database: Database, reactions: Reactions, clock: Clock) -> None:
        self._database = database
        self._reactions = reactions
        self._clock = clock

    def run_due(self) -> float | None:
        """Look at runs that have ended; return when to look again. Raises StoreError."""
        now = self._clock()
        with self._database.write() as tx:
            due = tx.notices.due(AFTER, now, AT_ONCE)
            claimed = [notice for notice in due if tx.notices.claim(notice, now, now + CLAIM)]
        for notice in claimed:
            self._follow(notice)
        with self._database.read() as tx:
            return tx.notices.next_at(AFTER)

    def _follow(self, notice: Notice) -> None:
        assert notice.run is not None  # noqa: S101 (this kind has one)
        with self._database.read() as tx:
            row = tx.runs.get(notice.run)
        event = ended(row)
        about = {
            "event": str(SourceKind.AFTER),
            "after": row.run.id,
            "after_number": row.number,
            "pipeline": event.pipeline,
        }
        about |= {name: row.cause[name] for name in ("hook", "pull_request") if name in row.cause}
        try:
            verdicts = self._reactions.judge(row.project, event)
            self._reactions.begin(row.project, event, verdicts, f"after/{row.run.id}", about)
        except Exception as error:  # noqa: BLE001 (one run must not stop the others)
            self._failed(notice, error)
            return
        with self._database.write() as tx:
            tx.notices.done(notice.id)

    def _failed(self, notice: Notice, error: Exception) -> None:
        message = error.message if isinstance(error, FlowError) else repr(error)
        tries = notice.tries + 1
        again = not isinstance(error, UserError) and tries < TRIES
        log.error("follow_failed", run=notice.run, tries=tries, again=again, exc_info=error)
        with self._database.write() as tx:
            if again:
                tx.notices.failed(notice, message, self._clock() + min(PAUSE * 2.0 ** (tries - 1), PAUSE_MOST))
            else:
                tx.notices.done(notice.id)


def ended(row: RunRow) -> SourceEvent:
    """Return the end of a run as an event at its source. What follows is trusted as far as the run was."""
    context = row.run.context
    return SourceEvent(
        SourceKind.AFTER,
        branch=context.branch,
        tag=context.tag,
        commit=context.commit,
        actor=row.actor,
        pipeline=row.run.pipeline.name,
        outcome=str(row.run.state),
        trust=Trust(row.trust),
    )
