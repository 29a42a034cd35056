"""What git clients may do with the repositories of runs. Blocking: call from threads."""

from __future__ import annotations

import re
from pathlib import Path

from flowbuild.core.errors import Forbidden, LeaseLost, NotFound
from flowbuild.core.ids import CommitId, RunId, StepKey, attempt_ref
from flowbuild.store.attempts import AttemptKey
from flowbuild.store.database import Database
from flowbuild.workspace.incoming import Incoming, LargeFiles
from flowbuild.workspace.lfs import Pointer
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.source import is_mirror

_REF = re.compile(r"refs/attempts/([^/]+)/([0-9]{1,9})/([0-9]{1,9})")


class Repositories:
    """Opens repositories of runs for clients that come over the network."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lists: dict[str, frozenset[Pointer]] = {}

    def path(self, run: RunId) -> Path:
        """Return where the repository of a run is; raises NotFound."""
        with self._database.read() as tx:
            return Path(tx.runs.get(run).repository)

    def source(self, run: RunId) -> Path:
        """Return the mirror whose objects the workspaces of a run borrow; raises NotFound when there is none."""
        with self._database.read() as tx:
            row = tx.runs.get(run)
        if not row.run.pipeline.checkout or not is_mirror(row.directory):
            raise NotFound("the run has no source that can be fetched")
        return Path(row.directory)

    def large(self, run: RunId) -> LargeFiles:
        """Return the large files of a run."""
        with self._database.read() as tx:
            row = tx.runs.get(run)
            attempts = tx.attempts.of_run(run)
        found: set[str | None] = {row.run.initial_commit}
        found.update(each for step in row.run.steps.values() for each in (step.input_commit, step.result_commit))
        found.update(each for attempt in attempts for each in (attempt.input_commit, attempt.commit))
        commits = (CommitId(each) for each in found if each)
        return LargeFiles(RunRepository.open(Path(row.repository)), commits, self._lists)

    def incoming(self, run: RunId, ref: str) -> Incoming:
        """Return the door for the result of the attempt whose ref that is; raises Forbidden, LeaseLost."""
        match = _REF.fullmatch(ref)
        if match is None or attempt_ref(match[1], int(match[2]), int(match[3])) != ref:
            raise Forbidden("only attempts push, and only their own result")
        key = AttemptKey(run, StepKey(match[1]), int(match[2]), int(match[3]))
        with self._database.read() as tx:
            attempt = tx.attempts.get(key)
        if attempt is None or attempt.state not in ("leased", "launched"):
            raise LeaseLost(f"the lease on attempt {key.attempt} of step {key.step!r} is over")
        return Incoming(
            RunRepository.open(self.path(run)),
            (key.step, key.attempt, key.epoch),
            parent=CommitId(attempt.input_commit),
            large=self.large(run),
        )
