"""A server of a backup: the files are put in place, and brought back to what the database knows. Blocking.

The files of a backup are newer than its database by the time that it took. A step that the database does not know to have
ended runs again: what an attempt of the same name left in the repository or the log would be taken for its own. Runners may still
work on what was offered to them after the backup was made: leases are given with epochs from now on that none of them can have.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from flowbuild.core.commands import AcceptResult
from flowbuild.core.errors import Conflict, WorkspaceError
from flowbuild.core.events import Restored
from flowbuild.core.ids import RunId, attempt_ref
from flowbuild.core.retry import MAX_EPOCH
from flowbuild.logs.writer import reopen
from flowbuild.services.backup import FOLDERS, KEYS, Manifest, copy, files, read_manifest
from flowbuild.services.decisions import Clock, Decisions
from flowbuild.services.signals import Signals
from flowbuild.store import dump
from flowbuild.store.attempts import AttemptRow
from flowbuild.store.database import Database
from flowbuild.store.runs import RunRow
from flowbuild.workspace.repo import RunRepository


def restore(source: Path, home: Path, url: str, clock: Clock) -> Manifest:
    """Make a server at `home`, where there is none, of a backup. Raises InvalidRequest, Conflict, StoreError.

    `home` need not be where the server was.
    """
    manifest = read_manifest(source)
    dump.check(source)
    if home.exists() and any(path.name not in ("flow.log", ".gitignore") for path in home.iterdir()):
        raise Conflict(f"{home} is not empty", hint="restore into an empty directory: FLOW_HOME names it")
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in (*FOLDERS, *([KEYS] if manifest.keys else [])):
            for path in files(source / name):
                copy(path, home / path.relative_to(source))
        dump.load(source, url)
        database = Database(url)
        try:
            database.migrate()
            _move(database, Path(manifest.home), home.absolute())
            _take_back(database, home / "logs")
            _fence(database, clock)
            _forget_lives(database)
        finally:
            database.close()
    except OSError as error:
        raise WorkspaceError(f"the backup cannot be restored: {error}") from error
    return manifest


def _move(database: Database, old: Path, new: Path) -> None:
    """Let everything that names places of the old server by whole paths name those of the new one."""
    if old == new:
        return
    with database.write() as tx:
        tx.runs.move(str(old), str(new))
    for repository in new.glob("runs/*/repository.git"):
        RunRepository.move_large(repository, new / "lfs")


def _going_on(database: Database) -> Sequence[RunId]:
    """Return the runs that have not ended, or whose end has not had all of its effects."""
    with database.read() as tx:
        owners = tx.runs.owners()
        return [run for owner in owners for run in (*tx.runs.open_runs(owner), *tx.runs.unfinished(owner))]


def _fence(database: Database, clock: Clock) -> None:
    """Let nothing be mistaken for what the server gave out after the backup, nor after an earlier restore of the same one."""
    decisions = Decisions(database, Signals(), clock, wake=lambda _run: None)
    for run in _going_on(database):
        with database.read() as tx:
            state = tx.runs.get(run).run
        if not state.state.final:
            age = max(1, int(clock() - state.created_at))  # seconds: there is at most one restore in each of them
            decisions.apply(run, Restored(1 + age * MAX_EPOCH))


def _forget_lives(database: Database) -> None:
    """Let runners that began anew after the backup go on with what they adopted then: of those lives it knows nothing."""
    with database.write() as tx:
        tx.runners.forget_lives()
        tx.attempts.forget_lives()


def _take_back(database: Database, logs: Path) -> None:
    """Take back, in runs that go on, what the database has not seen; results are shown again when the server starts."""
    for run in _going_on(database):
        with database.read() as tx:
            row, attempts = tx.runs.get(run), tx.attempts.of_run(run)
        known = [each for each in attempts if each.state in ("launched", "done")]
        refs = [attempt_ref(each.key.step, each.key.attempt, each.key.epoch) for each in known]
        RunRepository.open(Path(row.repository)).take_back(row.run.initial_commit, refs)
        _take_back_logs(logs / run, known)
        with database.write() as tx:
            tx.outbox.put(run, _results(row))


def _results(row: RunRow) -> Sequence[AcceptResult]:
    """Return what shows the results that the database knows."""
    return [
        AcceptResult(step.key, step.attempt, step.epoch, step.result_commit)
        for step in row.run.steps.values()
        if step.result_commit is not None and not step.reused
    ]


def _take_back_logs(logs: Path, known: Sequence[AttemptRow]) -> None:
    """Remove the logs of attempts that are not known to have run; those of attempts that have not ended go on."""
    states = {f"{each.key.step}/{each.key.attempt}.{each.key.epoch}": each.state for each in known}
    for directory in logs.glob("*/*"):
        state = states.get(f"{directory.parent.name}/{directory.name}")
        if state is None:
            shutil.rmtree(directory)
        elif state != "done":
            reopen(directory)
