"""What the pipelines of all projects do and did lately: the first page of a server. Blocking: call from threads."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import median

from flowbuild.core.errors import FlowError
from flowbuild.core.ids import RunId
from flowbuild.core.model import Pipeline
from flowbuild.core.states import RunState
from flowbuild.services.projects import PipelinesAt, ProjectService
from flowbuild.spec.findings import Severity
from flowbuild.store.database import Database, Transaction
from flowbuild.store.holds import HoldRow
from flowbuild.store.projects import ProjectRow
from flowbuild.store.run_lists import RunFilter, RunLine
from flowbuild.store.work import WorkLine

RECENT = 200  # runs of a project among which pipelines are found that its default branch does not have


@dataclass(frozen=True, slots=True)
class Record:
    """How some runs went. `success_rate` is from 0 to 1, of those that ended and were not cancelled; None without any."""

    median_seconds: float | None
    success_rate: float | None


@dataclass(frozen=True, slots=True)
class PipelineOverview:
    """A pipeline with its latest runs, the newest first. `definition` is None when the default branch does not have it."""

    name: str
    definition: Pipeline | None
    runs: Sequence[RunLine]
    record: Record
    hold: HoldRow | None


@dataclass(frozen=True, slots=True)
class ProjectOverview:
    """A project with its pipelines, in the order of their file. `problem` says why those of the default branch are not known."""

    project: ProjectRow
    branch: str
    commit: str
    errors: int
    problem: str
    pipelines: Sequence[PipelineOverview]


class Overview:
    """Reads. What the default branch of a project has is kept until the project is fetched again, or changed."""

    def __init__(self, database: Database, projects: ProjectService) -> None:
        self._database = database
        self._projects = projects
        self._heads: dict[str, tuple[tuple[object, ...], PipelinesAt]] = {}

    def projects(self, names: Collection[str] | None, last: int) -> Sequence[ProjectOverview]:
        """Return the projects `names` (None: all) that are not archived, with the `last` runs of each pipeline."""
        return [self._project(row, last) for row in self._projects.list(names)]

    def runs(self, ids: Collection[str], projects: Collection[str] | None) -> Sequence[RunLine]:
        """Return those of some runs that are in certain projects (None: all), in the order in which they began."""
        with self._database.read() as tx:
            found = tx.runs.lines([RunId(each) for each in ids])
        return [line for line in found if projects is None or line.project in projects][::-1]

    def work(self, projects: Collection[str] | None, limit: int) -> Sequence[WorkLine]:
        """Return attempts that wait for a runner or have one, the longest waiting first."""
        with self._database.read() as tx:
            return tx.work.lines(projects, limit)

    def _project(self, row: ProjectRow, last: int) -> ProjectOverview:
        head: PipelinesAt | None = None
        problem = ""
        try:
            head = self._head(row)
        except FlowError as error:  # it was never fetched, say; its runs can be looked at all the same
            problem = error.message
        known = head.pipelines if head else {}
        with self._database.read() as tx:
            holds = {hold.pipeline: hold for hold in tx.holds.of_project(row.name)}
            recent = (line.pipeline for line in tx.runs.page(RunFilter(frozenset({row.name})), None, RECENT))
            pipelines = [
                _pipeline(tx, row.name, (name, known.get(name), holds.get(name)), last)
                for name in dict.fromkeys([*known, *recent, *holds])
            ]
        return ProjectOverview(
            project=row,
            branch=head.point.branch if head else row.default_branch,
            commit=head.point.commit if head else "",
            errors=sum(each.severity is Severity.ERROR for each in head.findings) if head else 0,
            problem=row.fetch_error or problem,
            pipelines=pipelines,
        )

    def _head(self, row: ProjectRow) -> PipelinesAt:
        state = (row.fetched_at, row.url, row.default_branch)
        known = self._heads.get(row.id)
        if known is None or known[0] != state:
            found = self._projects.pipelines_at(row.name, self._projects.at(row.name), trusted=True)
            known = self._heads[row.id] = (state, found)
        return known[1]


def record_of(ended: Collection[tuple[RunState, float]]) -> Record:
    """Return how runs went, from the final state and the seconds of each. The median is of those that succeeded."""
    judged = [state for state, _seconds in ended if state is not RunState.CANCELLED]
    good = [seconds for state, seconds in ended if state is RunState.SUCCEEDED]
    return Record(median(good) if good else None, len(good) / len(judged) if judged else None)


def _pipeline(
    tx: Transaction, project: str, about: tuple[str, Pipeline | None, HoldRow | None], last: int
) -> PipelineOverview:
    name, definition, hold = about
    lines = tx.runs.page(RunFilter(frozenset({project}), pipeline=name), None, last)
    ended = [(line.state, line.finished_at - line.created_at) for line in lines if line.finished_at is not None]
    return PipelineOverview(name, definition, lines, record_of(ended), hold)
