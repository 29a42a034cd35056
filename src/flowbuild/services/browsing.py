"""Looks into the workspaces of runs. Blocking: call from threads."""

from __future__ import annotations

from pathlib import Path

from flowbuild.core.errors import Conflict, NotFound
from flowbuild.core.ids import CommitId, RunId, StepKey
from flowbuild.store.database import Database
from flowbuild.workspace.browse import Browser
from flowbuild.workspace.repo import RunRepository


class Browsing:
    """Opens commits of run repositories, and only such as belong to the run that is asked about."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, run: RunId, *, commit: str = "", step: str = "", before: bool = False) -> Browser:
        """Return the workspace at a commit of the run, or as a step left it (`before`: as it found it).

        Without either: as the newest result of the run. Raises NotFound, Conflict when the step has no such thing.
        """
        with self._database.read() as tx:
            row = tx.runs.get(run)
            attempts = tx.attempts.of_run(run)
        state = row.run
        if step:
            found = state.steps.get(StepKey(step))
            if found is None:
                raise NotFound(f"run {row.number} has no step {step!r}", hint=f"there are {', '.join(state.steps)}")
            wanted = found.input_commit if before else found.result_commit
            if wanted is None:
                raise Conflict(f"step {step!r} of run {row.number} has no {'input' if before else 'result'}")
            return Browser(RunRepository.open(Path(row.repository)), wanted)
        known: set[str | None] = {state.initial_commit}
        known.update(found for each in state.steps.values() for found in (each.input_commit, each.result_commit))
        known.update(found for row in attempts for found in (row.input_commit, row.commit))
        if commit and commit not in known:
            raise NotFound(f"run {row.number} has no commit {commit!r}", hint="attempts name theirs")
        repository = RunRepository.open(Path(row.repository))
        return Browser(repository, CommitId(commit or repository.main() or state.initial_commit))
