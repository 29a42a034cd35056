"""What it takes to stand where an attempt of a step began, or in what it left. Blocking: call from threads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flowbuild.client.runner import Assignment
from flowbuild.core.errors import Conflict, NotFound
from flowbuild.core.ids import CommitId, RunId, StepKey
from flowbuild.services.assignments import Assignments
from flowbuild.services.audit import Actor, note_steered
from flowbuild.services.decisions import Clock
from flowbuild.spec.words import did_you_mean
from flowbuild.store.attempts import AttemptKey, AttemptRow
from flowbuild.store.database import Database, Transaction
from flowbuild.store.runs import RunRow
from flowbuild.workspace.repo import RunRepository


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody wants to stand: in the input of an attempt of a step (None: the latest), or in its `output`."""

    run: RunId
    step: str
    attempt: int | None = None
    output: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """An assignment that belongs to no attempt, and the ids of the images that the attempt had, by service."""

    assignment: Assignment
    images: Mapping[str, str]


class DebugService:
    """Tells what debugging takes. Values of secrets are only those that whoever asks has given."""

    def __init__(self, database: Database, assignments: Assignments, clock: Clock) -> None:
        self._database = database
        self._assignments = assignments
        self._clock = clock

    def scene(self, place: Place, secrets: Mapping[str, str]) -> Scene:
        """Return what is at a place. Raises NotFound, Conflict when nothing is there, InvalidRequest for unusable secrets."""
        with self._database.read() as tx:
            row = tx.runs.get(place.run)
            attempt = _attempt(tx, row, place)
        step = row.run.steps[StepKey(place.step)]
        if attempt is not None:
            commit = attempt.commit if place.output else attempt.input_commit
        else:  # an earlier run did the step for this one, or it has not begun
            commit = step.result_commit if place.output else step.input_commit
        if not commit:
            kind, state = "result" if place.output else "input", step.outcome or step.state
            raise Conflict(f"step {place.step!r} of run {row.number} has no {kind}: it is {state}")
        variables = RunRepository.open(Path(row.repository)).variables(CommitId(commit))
        key = attempt.key if attempt else AttemptKey(place.run, step.key, max(1, step.attempt), 1)
        assignment = self._assignments.for_debug(row, key, commit, variables, secrets)
        return Scene(assignment, attempt.details.get("images", {}) if attempt else {})

    def hand_out(self, place: Place, by: Actor) -> Scene:
        """Return what is at a place for somebody elsewhere, without secrets, and note that they asked. Raises as `scene`."""
        found = self.scene(place, {})
        with self._database.write() as tx:
            told = {"step": place.step, "attempt": found.assignment.lease.attempt, "output": place.output}
            note_steered(tx, self._clock(), by, "run.debug", tx.runs.get(place.run), detail=told)
        return found


def _attempt(tx: Transaction, row: RunRow, place: Place) -> AttemptRow | None:
    """Return the attempt that is meant; None when the step has none. Raises NotFound."""
    steps = [str(key) for key in row.run.steps]
    if place.step not in steps:
        hint = did_you_mean(place.step, steps) or f"there are {', '.join(steps)}"
        raise NotFound(f"there is no step {place.step!r}", hint=hint)
    attempts = {each.key.attempt: each for each in tx.attempts.of_run(place.run, place.step)}
    wanted = max(attempts, default=0) if place.attempt is None else place.attempt
    if place.attempt is not None and wanted not in attempts:
        raise NotFound(
            f"step {place.step!r} of run {row.number} has no attempt {wanted}",
            hint=f"there are {', '.join(map(str, attempts))}" if attempts else "it never began",
        )
    return attempts.get(wanted)
