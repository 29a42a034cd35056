"""Takes runs and projects away: rows first, then files. What a kill in between leaves, `sweep` finds. Blocking."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from flowbuild.core.errors import Conflict
from flowbuild.core.ids import RUN_ID, CommitId, RunId
from flowbuild.services.audit import Actor, note, note_steered
from flowbuild.services.decisions import Clock
from flowbuild.services.runs import Places
from flowbuild.store.database import Database
from flowbuild.store.run_lists import OPEN_STATES, RunFilter
from flowbuild.workspace.lfs import LfsStore
from flowbuild.workspace.repo import RunRepository

GRACE = 86400.0  # seconds; a large file that was stored since may belong to something that is not known yet
_BLOCK = 512  # bytes of what st_blocks counts


class Removal:
    """Runs are in `places`, their logs below `logs`, mirrors of projects below `mirrors`."""

    def __init__(self, *, database: Database, places: Places, logs: Path, mirrors: Path, clock: Clock) -> None:
        self._database = database
        self._places = places
        self._logs = logs
        self._mirrors = mirrors
        self._clock = clock

    def run(self, run: RunId) -> bool:
        """Remove a run; False when something about it is still to be done."""
        with self._database.write() as tx:
            removed = tx.runs.remove(run)
        if removed:
            self._remove_files(run)
        return removed

    def delete(self, actor: Actor, run: RunId) -> None:
        """Remove a run because somebody wants it gone. Raises NotFound; Conflict while it goes on, or is being cleaned up."""
        with self._database.write() as tx:
            row = tx.runs.get(run)
            if not row.run.state.final:
                raise Conflict(f"run {row.number} is going on", hint="cancel it first, or wait for it")
            tx.dispatches.drop(run=run)
            if not tx.runs.remove(run):
                raise Conflict(f"run {row.number} is still being cleaned up", hint="try again in a moment")
            note_steered(tx, self._clock(), actor, "run.delete", row, detail={})
        self._remove_files(run)

    def project(self, actor: Actor, name: str) -> None:
        """Remove a project with all its runs. Raises NotFound; Conflict while runs go on, or are being cleaned up.

        From then on nothing of it starts; asked again, it goes on where it stopped.
        """
        with self._database.write() as tx:
            row = tx.projects.get(name)
            if tx.runs.page(RunFilter(frozenset({name}), states=frozenset(OPEN_STATES)), None, 1):
                raise Conflict(f"runs of {name} are going on", hint="cancel them, or wait for them")
            tx.projects.save(replace(row, archived_at=row.archived_at or self._clock()))
            tx.dispatches.drop(project=name)
            note(tx, self._clock(), actor, "project.delete", f"project:{name}", project=name)
        with self._database.read() as tx:
            runs = [line.id for line in tx.runs.removable(name)]
        for run in runs:
            self.run(run)
        with self._database.write() as tx:
            if tx.runs.page(RunFilter(frozenset({name})), None, 1):
                raise Conflict(f"runs of {name} are still being cleaned up", hint="try again in a moment")
            tx.projects.delete(row.id)
        shutil.rmtree(self._mirrors / row.id, ignore_errors=True)

    def size(self, run: RunId) -> int:
        """Return how many bytes a run takes on the disk; large files, which runs share, not counted."""
        return sum(_size(place) for place in self._files(run))

    def collect(self) -> int:
        """Remove the large files that no run has; return how many bytes that freed.

        Raises WorkspaceError when it is not known what a run has: then nothing is removed.
        """
        before = self._clock() - GRACE
        with self._database.read() as tx:
            runs = tx.runs.ids()
        keep = {oid for run in runs for oid in self._large(RunId(run))}
        return LfsStore(self._places.lfs).collect(keep, before)

    def sweep(self) -> None:
        """Remove logs of runs and mirrors of projects that are gone; repositories have a sweep of their own (`RunService`)."""
        logs, mirrors = _names(self._logs), _names(self._mirrors)  # before the look at what there is: it comes first
        with self._database.read() as tx:
            runs = tx.runs.ids()
            projects = {row.id for row in tx.projects.list(archived=True)}
        gone = [self._logs / name for name in logs if RUN_ID.fullmatch(name) and name not in runs]
        gone += [self._mirrors / name for name in mirrors if RUN_ID.fullmatch(name) and name not in projects]
        for place in gone:
            shutil.rmtree(place, ignore_errors=True)

    def _large(self, run: RunId) -> Iterator[str]:
        """Yield the ids of the large files of a run."""
        with self._database.read() as tx:
            if not tx.runs.owner(run):  # removed meanwhile
                return
            row, attempts = tx.runs.get(run), tx.attempts.of_run(run)
        repository = RunRepository.open(Path(row.repository))
        commits: set[str | None] = {row.run.initial_commit, *repository.refs.list("refs/").values()}
        commits.update(each for step in row.run.steps.values() for each in (step.input_commit, step.result_commit))
        commits.update(each for attempt in attempts for each in (attempt.input_commit, attempt.commit))
        for commit in commits:
            if commit:
                yield from (pointer.oid for pointer in repository.large_files(CommitId(commit)))

    def _files(self, run: RunId) -> tuple[Path, Path]:
        return self._places.repository(run).parent, self._logs / run

    def _remove_files(self, run: RunId) -> None:
        for place in self._files(run):
            shutil.rmtree(place, ignore_errors=True)


def _names(directory: Path) -> list[str]:
    try:
        return [path.name for path in directory.iterdir()]
    except FileNotFoundError:
        return []


def _size(place: Path) -> int:
    return sum(_sizes(Path(top) / name for top, _, names in os.walk(place) for name in names))


def _sizes(files: Iterable[Path]) -> Iterator[int]:
    for file in files:
        try:
            yield file.lstat().st_blocks * _BLOCK
        except FileNotFoundError:
            continue
