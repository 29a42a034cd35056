"""Results of runners on other machines, which could say anything: what they hand in must be what they pushed. Blocking."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from flowbuild.client.runner import AttemptResult, Lease
from flowbuild.core.errors import InvalidRequest, WorkspaceError
from flowbuild.core.ids import CommitId, RunId
from flowbuild.store.database import Database
from flowbuild.workspace.repo import RunRepository


class Results:
    """Checks results."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def checked(self, lease: Lease, result: AttemptResult) -> AttemptResult:
        """Return a result with the variables that its commit holds; raises InvalidRequest when that was not pushed."""
        if result.commit is None:
            return replace(result, variables={})
        with self._database.read() as tx:
            path = tx.runs.get(RunId(lease.run)).repository
        repository = RunRepository.open(Path(path))
        pushed = repository.attempt_result(lease.step, lease.attempt, lease.epoch)
        if pushed != result.commit:
            raise InvalidRequest(
                f"the result of step {lease.step!r} is not what was pushed for its attempt",
                hint="push it to the ref of the attempt first",
            )
        try:
            return replace(result, variables=repository.variables(CommitId(result.commit)))
        except WorkspaceError as error:
            raise InvalidRequest(f"the result of step {lease.step!r} cannot be read: {error.message}") from error
