"""Questions about runs: views, events, logs, diffs. Blocking: call from threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowbuild.client.base import FileChange, HolderView, LogChunk, RunView, StepDiff, StepView, VariableChange
from flowbuild.client.runner import Lease
from flowbuild.core.errors import Conflict, NotFound
from flowbuild.core.ids import CommitId, RunId, StepKey
from flowbuild.core.run import Run, StepRun
from flowbuild.core.states import StepState
from flowbuild.logs.format import Piece
from flowbuild.logs.reader import LogReader
from flowbuild.logs.search import Found, search
from flowbuild.services import emitted
from flowbuild.services.lines import line_of
from flowbuild.services.logbook import Logbook
from flowbuild.services.phases import Began
from flowbuild.services.views import run_view
from flowbuild.store.database import Database, Transaction
from flowbuild.store.run_lists import RunFilter, RunLine
from flowbuild.store.runs import EventRow, RunRow
from flowbuild.workspace.repo import RunRepository

LOG_PIECE = 1 << 20  # bytes of log handed out at once
PATCH_LIMIT = 32 << 20  # bytes of a patch


@dataclass(frozen=True, slots=True)
class LogLook:
    """A piece of the log of an `attempt` (0: none yet) up to `offset`; it has so many `lines` by now.

    Whether the attempt has `ended`; whether its run is `interrupted`, so that nothing comes for now.
    """

    chunks: Sequence[LogChunk]
    attempt: int
    offset: int
    ended: bool
    interrupted: bool
    lines: int = 0


class Looking:
    """Reads what the other services wrote.

    `driven` tells whether somebody drives the runs of an owner: those that are served, as is said, or the others.
    """

    def __init__(self, database: Database, logbook: Logbook, driven: Callable[[str, bool], bool]) -> None:
        self._database = database
        self._logbook = logbook
        self._driven = driven

    def find(self, project: str | None, text: str, *, within: bool = False) -> RunId:
        """Return the id of a run named by `last`, number, id or beginning of an id; see `store.runs`. Raises NotFound."""
        with self._database.read() as tx:
            return tx.runs.find(project, text, within=within)

    def run(self, run: RunId, phases: Mapping[str, Began]) -> RunView:
        """Return the view of a run."""
        with self._database.read() as tx:
            return self._view(tx, tx.runs.get(run), phases)

    def approvers(self, run: RunId, step: str) -> tuple[str, ...]:
        """Return the roles and people of whom one has to agree before a step acts on its environment; raises NotFound."""
        with self._database.read() as tx:
            pipeline = tx.runs.get(run).run.pipeline
        environment = next((each.environment for each in pipeline.steps if each.key == step), None)
        return environment.approve if environment else ()

    def newest(self, project: str | None, limit: int) -> list[RunView]:
        """Return runs, the newest first."""
        with self._database.read() as tx:
            return [self._view(tx, row, {}) for row in tx.runs.newest(project, limit)]

    def page(self, wanted: RunFilter, before: RunId | None, limit: int) -> Sequence[RunLine]:
        """Return runs for a list, the newest first, those older than `before`."""
        with self._database.read() as tx:
            return tx.runs.page(wanted, before, limit)

    def interrupted(self, project: str | None, dead: Sequence[str]) -> RunId | None:
        """Return the newest open run of the project whose owner is dead, but of servers: those go on by themselves."""
        with self._database.read() as tx:
            for row in tx.runs.newest(project, 1000):
                if not row.run.state.final and not row.served and row.owner in dead:
                    return row.run.id
        return None

    def since(self, run: RunId, after: int, phases: Mapping[str, Began]) -> tuple[Sequence[EventRow], RunView]:
        """Return the events after a sequence number, and the run as it is now."""
        with self._database.read() as tx:
            row = tx.runs.get(run)
            # Only those that the view shows: what happens meanwhile is for the next look, together with its view.
            return tx.runs.events(run, after, row.last_seq), self._view(tx, row, phases)

    def log(
        self,
        run: RunId,
        step: str,
        attempt: int | None,
        offset: int,
        service: str,
        *,
        line: int | None = None,
        limit: int | None = None,
    ) -> LogLook:
        """Return a piece of an attempt's log from an offset, as it was after the state that is returned with it.

        With `service` only its output. From a `line` instead of the offset; at most `limit` lines.
        """
        with self._database.read() as tx:
            rows = {row.key.attempt: row for row in tx.attempts.of_run(run, step)}
            found = rows.get(max(rows, default=0) if attempt is None else attempt)
            if found is None:
                ended, interrupted = self._no_attempt(tx, tx.runs.get(run), step, attempt)
                return LogLook((), 0, offset, ended, interrupted)
            driven = self._driven(
                tx.runs.owner(run), tx.runs.is_served(run)
            )  # most often so: then there is no need to read the run
            interrupted = not driven and self._interrupted(tx, tx.runs.get(run))
        key = found.key
        lease = Lease(key.run, key.step, key.attempt, key.epoch)
        with LogReader(self._logbook.directory(lease)) as reader:
            lines = reader.lines()
            end, left, seen, chunks = reader.offset_of(lines + 1), LOG_PIECE, set[int](), list[LogChunk]()
            offset = offset if line is None else reader.offset_of(line)
            for piece in reader.read(offset, services=[service] if service else None, end=end):
                seen.add(piece.line)
                if left <= 0 or len(seen) - 1 == limit:
                    end = piece.offset
                    break
                chunks.append(_chunk(step, key.attempt, piece))
                left -= len(piece.data)
        return LogLook(chunks, key.attempt, max(offset, end), found.state == "done", interrupted, lines)

    def search_log(
        self, run: RunId, step: str, attempt: int | None, text: str, *, service: str, line: int, limit: int
    ) -> Found:
        """Return the lines of an attempt's log that hold a text, or look like errors; see `logs.search`."""
        with self._database.read() as tx:
            rows = {row.key.attempt: row.key for row in tx.attempts.of_run(run, step)}
            key = rows.get(max(rows, default=0) if attempt is None else attempt)
            if key is None:
                self._no_attempt(tx, tx.runs.get(run), step, attempt)
                return Found((), None)
        lease = Lease(key.run, key.step, key.attempt, key.epoch)
        with LogReader(self._logbook.directory(lease)) as reader:
            return search(reader, text, line=line, limit=limit, services=[service] if service else None)

    def compose(self, run: RunId, step: str, attempt: int | None) -> tuple[int, Mapping[str, Any]]:
        """Return an attempt (None: the latest) and the compose file of its containers, without secrets and our places.

        Raises NotFound, also when it has none: nothing was started, or its result was taken from the step cache.
        """
        with self._database.read() as tx:
            rows = {row.key.attempt: row.key for row in tx.attempts.of_run(run, step)}
            key = rows.get(max(rows, default=0) if attempt is None else attempt)
            if key is None:
                self._no_attempt(tx, tx.runs.get(run), step, attempt)
        found = None if key is None else self._logbook.compose(Lease(key.run, key.step, key.attempt, key.epoch))
        if key is None or found is None:
            raise NotFound(f"no containers of step {step!r} were started")
        return key.attempt, emitted.shown(found)

    def require_attempt(self, run: RunId, step: str, attempt: int | None) -> None:
        """Raise NotFound when there is no such step, or it has no such attempt (None: any, also one to come)."""
        with self._database.read() as tx:
            known = {row.key.attempt for row in tx.attempts.of_run(run, step)}
            if attempt not in known and (attempt is not None or not known):
                self._no_attempt(tx, tx.runs.get(run), step, attempt)

    def _no_attempt(self, tx: Transaction, row: RunRow, step: str, attempt: int | None) -> tuple[bool, bool]:
        """Return whether a step will never have an attempt, and whether its run is interrupted.

        Raises NotFound when there is no such step, or one attempt was asked for.
        """
        state = step_run(row, step)
        if attempt is not None:
            raise NotFound(f"step {step!r} of run {row.number} has no attempt {attempt}")
        return state.outcome is not None or row.run.state.final, self._interrupted(tx, row)

    def owner(self, run: RunId) -> str:
        """Return which process drives a run, or did so last."""
        with self._database.read() as tx:
            return tx.runs.owner(run)

    def project(self, run: RunId) -> str:
        """Return the project of a run; raises NotFound."""
        with self._database.read() as tx:
            return tx.runs.project(run)

    def diff(self, run: RunId, step: str, other: str | None, *, patch: bool) -> StepDiff:
        """Return what a step changed, or how the result of `other` differs from its result."""
        with self._database.read() as tx:
            row = tx.runs.get(run)
        repository = RunRepository.open(Path(row.repository))
        first = step_run(row, step)
        if other is None:
            old, new = first.input_commit, result_of(row, first)
        else:
            old, new = result_of(row, first), result_of(row, step_run(row, other))
        old = old or new
        before, after = repository.variables(old), repository.variables(new)
        return StepDiff(
            files=tuple(
                FileChange(
                    change.status,
                    change.path.decode("utf-8", "backslashreplace"),
                    change.size_before,
                    change.size_after,
                )
                for change in repository.changes(old, new)
            ),
            variables=tuple(
                VariableChange(name, before.get(name), after.get(name))
                for name in sorted(before.keys() | after.keys())
                if before.get(name) != after.get(name)
            ),
            patch=_bounded(repository, old, new) if patch else b"",
        )

    def _view(self, tx: Transaction, row: RunRow, phases: Mapping[str, Began]) -> RunView:
        rerun_of = row.run.rerun_of
        number = None if rerun_of is None else tx.runs.number(rerun_of)
        attempts = tx.attempts.of_run(row.run.id)
        return run_view(
            row,
            attempts,
            phases,
            rerun_number=number,
            interrupted=self._interrupted(tx, row),
            holders=self._holders(tx, row.project, row.run),
        )

    def _holders(self, tx: Transaction, project: str, run: Run) -> dict[str, HolderView]:
        """Return who holds what the steps of a run wait for."""
        found: dict[str, HolderView] = {}
        for key, step in run.steps.items():
            environment = run.pipeline.step(key).environment
            if (
                step.state is not StepState.WAITING
                or environment is None
                or (environment.approve and not step.approved_by)
            ):
                continue
            holder = tx.locks.holder(line_of(tx, project, environment.name))
            if holder not in (None, (run.id, key)):  # it may have got the lock after the run was read
                other = tx.runs.get(holder[0])
                interrupted = self._interrupted(tx, other)
                found[key] = HolderView(
                    environment.name, other.run.id, other.number, other.project, holder[1], interrupted
                )
        return found

    def _interrupted(self, tx: Transaction, row: RunRow) -> bool:
        if row.run.state.final or self._driven(row.owner, row.served):
            return False
        now = tx.runs.get(row.run.id)  # it may have ended, or been taken over, just before its program let go of it
        return now.owner == row.owner and not now.run.state.final


def _chunk(step: str, attempt: int, piece: Piece) -> LogChunk:
    return LogChunk(step, attempt, piece.service, piece.stream, piece.time_ns, piece.data, piece.offset, piece.line)


def require_step(view: RunView, key: str) -> StepView:
    """Return a step of a run; raises NotFound."""
    found = next((step for step in view.steps if step.key == key), None)
    if found is None:
        known = ", ".join(step.key for step in view.steps)
        raise NotFound(f"run {view.number} has no step {key!r}", hint=f"there are {known}")
    return found


def step_run(row: RunRow, step: str) -> StepRun:
    """Return where a step of a run is; raises NotFound."""
    found = row.run.steps.get(StepKey(step))
    if found is None:
        raise NotFound(f"run {row.number} has no step {step!r}", hint=f"there are {', '.join(row.run.steps)}")
    return found


def result_of(row: RunRow, step: StepRun) -> CommitId:
    """Return the commit that a step left; raises Conflict when it left none."""
    commit = step.result_commit or step.input_commit
    if commit is None:
        raise Conflict(f"step {step.key!r} of run {row.number} has no result: it did not run")
    return commit


def _bounded(repository: RunRepository, old: CommitId, new: CommitId) -> bytes:
    patch = bytearray()
    for piece in repository.patch(old, new):
        patch += piece
        if len(patch) > PATCH_LIMIT:
            return (
                bytes(patch[:PATCH_LIMIT]) + b"\n[cut: the patch is longer than 32 MiB; flow clone shows all of it]\n"
            )
    return bytes(patch)
