"""What news tell of a commit and of a failure, from the mirror of the project and the logs. Blocking: call from threads."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from flowbuild.client.runner import Lease
from flowbuild.core.errors import FlowError
from flowbuild.core.ids import RunId, StepKey
from flowbuild.core.plain import shown
from flowbuild.logs.reader import LogReader
from flowbuild.logs.reasons import reasons
from flowbuild.services.logbook import Logbook
from flowbuild.services.projects import ProjectService
from flowbuild.store.database import Database

log = structlog.get_logger()
LONGEST = 200  # characters of the subject of a commit


class StoredFacts:
    """See services.announcing.Facts. What cannot be read is left out: that something failed is told all the same."""

    def __init__(self, database: Database, logbook: Logbook, projects: ProjectService) -> None:
        self._database = database
        self._logbook = logbook
        self._projects = projects

    def commit(self, project: str, commit: str) -> tuple[str, str]:
        """Return the e-mail address of who wrote a commit, and its subject; empty when it is not here."""
        try:
            author, subject = self._projects.described(project, commit)
        except FlowError as error:
            log.info("commit_not_described", project=project, commit=commit, error=error.message)
            return "", ""
        return shown(author, 256), shown(subject, LONGEST)

    def lines(self, run: RunId, step: StepKey) -> Sequence[str]:
        """Return the lines of the log of a step's last attempt that say why it failed. They were redacted before they came here."""
        with self._database.read() as tx:
            keys = [row.key for row in tx.attempts.of_run(run, step)]
        if not keys:
            return ()
        key = max(keys, key=lambda each: (each.attempt, each.epoch))
        try:
            with LogReader(self._logbook.directory(Lease(run, step, key.attempt, key.epoch))) as reader:
                return reasons(reader)
        except (FlowError, OSError, ValueError) as error:
            log.warning("log_not_read", run=run, step=step, error=str(error))
            return ()
