"""What steps tell people in files of their workspace: test reports, summaries. Blocking: call from threads.

Only files that the step itself wrote count: those that are not as it found them. A commit never changes, so what was read of
one is kept.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from flowbuild.core.errors import InvalidRequest, NotFound
from flowbuild.core.ids import CommitId, RunId, summary_path
from flowbuild.spec import junit
from flowbuild.spec.junit import Case, NotAReport, Status
from flowbuild.store.attempts import AttemptRow
from flowbuild.store.database import Database
from flowbuild.store.runs import RunRow
from flowbuild.workspace import diff, layout
from flowbuild.workspace.lfs import parse_pointer
from flowbuild.workspace.objects import EXECUTABLE_MODE, FILE_MODE
from flowbuild.workspace.repo import RunRepository

FILES_MAX = 2000  # reports of a step that are read
STEP_BYTES = 32 << 20  # of all reports of a step
RUN_BYTES = 64 << 20  # of all reports of a run
FAILED_MAX = 100  # cases of a step that are told
SLOWEST = 10
PROBLEMS_MAX = 20
SUMMARY_BYTES = 256 << 10  # of the summary of a step
SUMMARIES_BYTES = 2 << 20  # of those of a run
KEPT = 64  # steps


@dataclass(frozen=True, slots=True)
class Told:
    """A case in a report, which is a file of the workspace by its raw name."""

    report: bytes
    case: Case


@dataclass(frozen=True, slots=True)
class Reports:
    """What the reports in a commit say, all together. `seconds` is the sum of the cases, `problems` are files that cannot be read.

    Not `complete`: there is more than is read or told.
    """

    files: int
    counts: dict[Status, int]
    seconds: float
    failed: Sequence[Told]
    slowest: Sequence[Told]
    problems: Sequence[tuple[bytes, str]]
    complete: bool
    bytes: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The attempt of a step whose files are looked at: the latest that left something. 0: it was taken over from another run."""

    step: str
    attempt: int
    before: CommitId
    commit: CommitId


@dataclass(frozen=True, slots=True)
class StepReports:
    """The test reports of a step."""

    ended: Ended
    reports: Reports


@dataclass(frozen=True, slots=True)
class Summary:
    """What a step says of itself, in Markdown; `cut` when it is longer than is told."""

    ended: Ended
    text: str
    cut: bool


class ReportService:
    """Reads reports and summaries of runs."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._read = lru_cache(KEPT)(_read)

    def tests(self, run: RunId, step: str = "") -> Sequence[StepReports]:
        """Return what the test reports of a run say, by step in the order of the file; of one step alone if it is named.

        Steps without reports are not in it. Raises NotFound.
        """
        row, ends = self._ends(run, step)
        found: list[StepReports] = []
        left = RUN_BYTES
        for ended in ends:
            reports = self._read(row.repository, ended.before, ended.commit) if left > 0 else _unread()
            left -= reports.bytes
            if reports.files or reports.problems or not reports.complete:
                found.append(StepReports(ended, reports))
        return found

    def summaries(self, run: RunId) -> Sequence[Summary]:
        """Return the summaries that steps of a run wrote, in the order of the file. Raises NotFound."""
        row, ends = self._ends(run, "")
        repository = RunRepository.open(Path(row.repository))
        found: list[Summary] = []
        left = SUMMARIES_BYTES
        for ended in ends:
            data = _summary(repository, ended)
            if data is not None and left > 0:
                limit = min(left, SUMMARY_BYTES)
                found.append(Summary(ended, data[:limit].decode("utf-8", "replace"), len(data) > limit))
                left -= len(data[:limit])
        return found

    def _ends(self, run: RunId, step: str) -> tuple[RunRow, list[Ended]]:
        with self._database.read() as tx:
            row = tx.runs.get(run)
            attempts = tx.attempts.of_run(run)
        if step and step not in row.run.steps:
            raise NotFound(f"run {row.number} has no step {step!r}", hint=f"there are {', '.join(row.run.steps)}")
        return row, [ended for ended in _ended(row, attempts) if step in ("", ended.step)]


def _ended(row: RunRow, attempts: Sequence[AttemptRow]) -> Iterator[Ended]:
    left = {each.key.step: each for each in attempts if each.commit is not None}  # the latest comes last
    for step in row.run.pipeline.steps:
        state, latest = row.run.steps[step.key], left.get(step.key)
        if latest is not None and latest.commit is not None:
            yield Ended(step.key, latest.key.attempt, CommitId(latest.input_commit), CommitId(latest.commit))
        elif state.input_commit is not None and state.result_commit is not None:
            yield Ended(step.key, 0, state.input_commit, state.result_commit)


def _read(path: str, before: CommitId, commit: CommitId) -> Reports:
    """Read the reports that are in a commit and were not in the one before it."""
    repository = RunRepository.open(Path(path))
    old, new = repository.layout(before).workspace, repository.layout(commit).workspace
    differences = layout.differences(old, new, repository.db.tree)
    written = {diff.name(one): one.new for one in differences if one.new is not None and junit.is_report(one.path)}
    collected = _Collected()
    for name in sorted(written):
        entry = written[name]
        if entry.mode in (FILE_MODE, EXECUTABLE_MODE):
            if collected.files >= FILES_MAX or collected.bytes >= STEP_BYTES:
                collected.complete = False
                break
            collected.add(name, _content(repository, entry.oid, junit.BYTES_MAX + 1))
    return collected.reports()


def _unread() -> Reports:
    return Reports(0, {}, 0.0, (), (), (), complete=False, bytes=0)


class _Collected:
    """Adds up what reports say, keeping only what is told."""

    def __init__(self) -> None:
        self.files = self.bytes = 0
        self.complete = True
        self._counts = dict.fromkeys(Status, 0)
        self._seconds = 0.0
        self._failed: list[Told] = []
        self._slowest: list[tuple[float, int, Told]] = []  # a heap; the number decides between equal ones
        self._problems: list[tuple[bytes, str]] = []

    def add(self, name: bytes, data: bytes) -> None:
        """Read one file; one that cannot be read to its end counts as far as it was."""
        self.bytes += len(data)
        try:
            junit.read(data, lambda case: self._take(Told(name, case)))
        except NotAReport:
            return
        except InvalidRequest as error:
            self.complete = False
            if len(self._problems) < PROBLEMS_MAX:
                self._problems.append((name, error.message))
        self.files += 1

    def _take(self, told: Told) -> None:
        case = told.case
        self._counts[case.status] += 1
        self._seconds += case.seconds
        if case.status in (Status.FAILED, Status.ERRORED):
            if len(self._failed) < FAILED_MAX:
                self._failed.append(told)
            else:
                self.complete = False
        item = (case.seconds, -sum(self._counts.values()), told)
        if len(self._slowest) < SLOWEST:
            heapq.heappush(self._slowest, item)
        else:
            heapq.heappushpop(self._slowest, item)

    def reports(self) -> Reports:
        """Return all of it."""
        slowest = [told for _, _, told in sorted(self._slowest, reverse=True)]
        return Reports(
            self.files,
            self._counts,
            self._seconds,
            self._failed,
            slowest,
            self._problems,
            complete=self.complete,
            bytes=self.bytes,
        )


def _summary(repository: RunRepository, ended: Ended) -> bytes | None:
    """Return the summary that a step wrote; None when there is none, or it is as the step found it."""
    name, read_tree = summary_path(ended.step).encode(), repository.db.tree
    old = layout.lookup(repository.layout(ended.before).workspace, name, read_tree)
    new = layout.lookup(repository.layout(ended.commit).workspace, name, read_tree)
    if new is None or new == old or new.mode not in (FILE_MODE, EXECUTABLE_MODE):
        return None
    return _content(repository, new.oid, SUMMARY_BYTES + 1) or None


def _content(repository: RunRepository, oid: bytes, limit: int) -> bytes:
    """Return a file of a workspace, at most `limit` bytes of it."""
    data = repository.db.blob(oid)
    pointer = parse_pointer(data)
    if pointer is None:
        return data[:limit]
    with repository.lfs.path(pointer.oid).open("rb") as file:
        return file.read(limit)
