"""Keeps projects to what they are to keep of their runs (`core.retention`). Blocking: call from threads."""

from __future__ import annotations

import structlog

from flowbuild.core.errors import FlowError
from flowbuild.core.ids import RunId
from flowbuild.core.retention import DAY, Kept, Retention, expired
from flowbuild.core.states import RunState
from flowbuild.services.decisions import Clock
from flowbuild.services.removal import Removal
from flowbuild.store.database import Database
from flowbuild.store.run_lists import RunLine

log = structlog.get_logger()
DELIVERIES = 30 * DAY  # seconds that what deliveries said can be looked at, or be tried again
DISPATCHES = 30 * DAY  # seconds that it is known what was sent about no run: that of runs goes with them
STARTS = 90 * DAY  # seconds that it is known what began a run: longer than anything can come again


class RetentionService:
    """Removes what the rules of projects do not keep. Only runs of which nothing is left to do count, or go."""

    def __init__(self, database: Database, removal: Removal, clock: Clock) -> None:
        self._database = database
        self._removal = removal
        self._clock = clock

    def expired(self, project: str) -> list[RunId]:
        """Return the runs of a project that are to go, the oldest first; raises NotFound."""
        with self._database.read() as tx:
            rules = tx.projects.get(project).settings.retention
            lines = tx.runs.removable(project)
        kept = [self._kept(line, rules) for line in lines]
        return [RunId(run) for run in expired(kept, rules, self._clock())]

    def tidy(self, project: str) -> list[RunId]:
        """Remove them; return those that are gone."""
        return [run for run in self.expired(project) if self._removal.run(run)]

    def tidy_all(self) -> int:
        """Tidy every project, and when runs are gone the large files that nobody has then; return how many runs are gone.

        One project that cannot be tidied does not keep the others from it.
        """
        self._removal.sweep()
        self._forget()
        with self._database.read() as tx:
            projects = [row.name for row in tx.projects.list(archived=True)]
        gone = 0
        for project in projects:
            try:
                removed = self.tidy(project)
            except (FlowError, OSError) as error:
                log.error("retention_failed", project=project, error=str(error))
                continue
            gone += len(removed)
            if removed:
                log.info("runs_removed", project=project, runs=len(removed))
        if gone:
            self._collect()
        return gone

    def _forget(self) -> None:
        """Forget what deliveries of webhooks said, what began runs long ago, and what was sent about machines."""
        now = self._clock()
        with self._database.write() as tx:
            tx.deliveries.forget(now - DELIVERIES)
            tx.starts.forget(now - STARTS)
            tx.dispatches.forget(now - DISPATCHES)

    def _collect(self) -> None:
        try:
            freed = self._removal.collect()
        except (FlowError, OSError) as error:
            log.error("large_files_not_collected", error=str(error))
        else:
            log.info("large_files_collected", bytes=freed)

    def _kept(self, line: RunLine, rules: Retention) -> Kept:
        return Kept(
            run=line.id,
            pipeline=line.pipeline,
            branch=line.branch,
            succeeded=line.state is RunState.SUCCEEDED,
            finished_at=line.finished_at or line.created_at,
            bytes=0 if rules.bytes is None else self._removal.size(line.id),
        )
