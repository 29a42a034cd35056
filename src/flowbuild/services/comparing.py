"""Two runs side by side: steps, variables, files. Blocking: call from threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowbuild.core.ids import CommitId, RunId
from flowbuild.core.model import Step
from flowbuild.core.run import StepRun
from flowbuild.services.looking import result_of, step_run
from flowbuild.store.database import Database
from flowbuild.store.run_lists import RunLine
from flowbuild.store.runs import RunRow
from flowbuild.workspace.comparison import Comparison
from flowbuild.workspace.repo import RunRepository


@dataclass(frozen=True, slots=True)
class StepPair:
    """A step in two runs; None where a run does not have it. `redefined`: both do, and its definition is different."""

    key: str
    before: StepRun | None
    after: StepRun | None
    redefined: bool


@dataclass(frozen=True, slots=True)
class RunsCompared:
    """Two runs. Of inputs those that differ are told, by name."""

    before: RunLine
    after: RunLine
    steps: Sequence[StepPair]
    inputs: Mapping[str, tuple[Any, Any]]
    workspaces: Comparison


class Comparing:
    """Puts what runs left side by side: the one before, the other after."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def runs(self, before: RunId, after: RunId) -> RunsCompared:
        """Compare two runs, as they are now. Raises NotFound."""
        with self._database.read() as tx:
            first, second = tx.runs.get(before), tx.runs.get(after)
            lines = {line.id: line for line in tx.runs.lines([before, after])}
        given, taken = first.run.context.inputs, second.run.context.inputs
        return RunsCompared(
            lines[before],
            lines[after],
            _pairs(first, second),
            {
                name: (given.get(name), taken.get(name))
                for name in sorted({*given, *taken})
                if given.get(name) != taken.get(name)
            },
            _workspaces(first, second, ""),
        )

    def workspaces(self, before: RunId, after: RunId, step: str = "") -> Comparison:
        """Compare what two runs left by now, or what a step of both did. Raises NotFound, Conflict without such a thing."""
        with self._database.read() as tx:
            first, second = tx.runs.get(before), tx.runs.get(after)
        return _workspaces(first, second, step)

    def step(self, run: RunId, step: str, other: str = "") -> Comparison:
        """Compare what a step found and left, or what it and another one left. Raises NotFound, Conflict without a result."""
        with self._database.read() as tx:
            row = tx.runs.get(run)
        found, repository = step_run(row, step), RunRepository.open(Path(row.repository))
        result = result_of(row, found)
        new = result_of(row, step_run(row, other)) if other else result
        old = result if other else found.input_commit or result
        return Comparison((repository, old), (repository, new))


def _pairs(first: RunRow, second: RunRow) -> list[StepPair]:
    """Return all steps, in the order of the second pipeline; those that only the first one has come last."""
    old, new = _definitions(first), _definitions(second)
    return [
        StepPair(
            key,
            first.run.steps[old[key].key] if key in old else None,
            second.run.steps[new[key].key] if key in new else None,
            redefined=key in old and key in new and old[key].definition_hash != new[key].definition_hash,
        )
        for key in {**new, **old}
    ]


def _definitions(row: RunRow) -> dict[str, Step]:
    return {step.key: step for step in row.run.pipeline.steps}


def _workspaces(first: RunRow, second: RunRow, step: str) -> Comparison:
    return Comparison(_left(first, step), _left(second, step))


def _left(row: RunRow, step: str) -> tuple[RunRepository, CommitId]:
    repository = RunRepository.open(Path(row.repository))
    if step:
        return repository, result_of(row, step_run(row, step))
    return repository, repository.main() or row.run.initial_commit
