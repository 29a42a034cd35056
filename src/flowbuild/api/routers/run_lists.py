"""Lists of runs, and how a pipeline has done lately."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from flowbuild.api.access import InList, OnProject
from flowbuild.api.backend import Back
from flowbuild.api.paging import Cursor, Limit, Page, from_cursor, to_cursor
from flowbuild.api.problems import RESPONSES
from flowbuild.core.access import Action
from flowbuild.core.errors import InvalidRequest
from flowbuild.core.ids import RUN_ID, RunId
from flowbuild.core.states import Outcome, Reason, RunState
from flowbuild.services.history import StepHistory
from flowbuild.store.run_lists import RunFilter, RunLine

router = APIRouter(prefix="/api/v1", tags=["runs"], responses=RESPONSES)
Visible = Annotated[frozenset[str] | None, Depends(InList(Action.RUN_READ))]
Name = Annotated[str, Query(max_length=512)]


class RunSummary(BaseModel):
    """A run in a list. `number` counts within the project; `cause` says what began it: a delivery, a pull request."""

    id: str
    number: int
    project: str
    pipeline: str
    state: RunState
    event: str
    branch: str
    commit: str
    actor: str
    trust: str
    cause: Mapping[str, Any]
    rerun_of: str | None
    created_at: float
    finished_at: float | None


class RunBar(BaseModel):
    """One of the latest runs that have ended: how, and after how many seconds."""

    id: str
    number: int
    state: RunState
    seconds: float
    created_at: float
    branch: str
    commit: str


class StepFigures(BaseModel):
    """How the last attempts of a step went in these runs. `failed` is the fault of who wrote it, `errored` that of the server."""

    step: str
    succeeded: int
    failed: int
    errored: int
    cancelled: int
    cached: int = Field(description="of those that succeeded: taken from the step cache")
    retried: int = Field(description="runs in which it had several attempts")
    median_seconds: float | None = Field(description="of those that succeeded and really ran")
    p90_seconds: float | None
    median_waiting: float | None = Field(description="seconds from its place in the queue to its containers")
    flaky: int = Field(
        description="runs in which it failed although it succeeded with the same commit: in another run, or a later attempt"
    )
    flaky_runs: list[str] = Field(description="the newest of them")


class ReasonCount(BaseModel):
    """How many steps of these runs went wrong for one reason."""

    outcome: Outcome
    reason: Reason | None
    count: int


class PipelineFigures(BaseModel):
    """How a pipeline has done lately: of the runs in `runs`. What is said of none is null."""

    runs: list[RunBar] = Field(description="that have ended, the newest first")
    median_seconds: float | None = Field(description="of those that succeeded")
    p90_seconds: float | None = Field(description="nine of ten that succeeded took no longer")
    success_rate: float | None = Field(description="from 0 to 1, of those that were not cancelled")
    states: dict[str, int] = Field(description="how many of them ended how")
    steps: list[StepFigures] = Field(description="in the order in which they have their turn")
    reasons: list[ReasonCount] = Field(description="why steps went wrong, the most frequent first")


def summary(line: RunLine) -> RunSummary:
    """Return a run as a list shows it."""
    return RunSummary(**{name: getattr(line, name) for name in RunSummary.model_fields})


async def _filter(
    visible: Visible,
    project: Name = "",
    pipeline: Name = "",
    state: Annotated[list[RunState] | None, Query(description="may be repeated")] = None,
    branch: Name = "",
    event: Name = "",
    actor: Name = "",
    commit: Annotated[str, Query(max_length=64, pattern="^[0-9a-fA-F]*$", description="its beginning")] = "",
    since: Annotated[float | None, Query(description="seconds since the epoch", allow_inf_nan=False)] = None,
    until: Annotated[float | None, Query(description="seconds since the epoch", allow_inf_nan=False)] = None,
) -> RunFilter:
    """Return what is asked for, within what the caller may see."""
    projects = visible
    if project:
        projects = frozenset({project}) & visible if visible is not None else frozenset({project})
    return RunFilter(projects, pipeline, frozenset(state or ()), branch, event, actor, commit, since, until)


@router.get("/runs")
def list_runs(
    wanted: Annotated[RunFilter, Depends(_filter)], backend: Back, cursor: Cursor = "", limit: Limit = 50
) -> Page[RunSummary]:
    """Return runs, the newest first, of all projects that the caller may see or of one."""
    before = from_cursor(cursor)
    if before is not None and not RUN_ID.fullmatch(before):
        raise InvalidRequest("the cursor is not one of this list", hint="take `next` of the page before as it is")
    lines = backend.looking.page(wanted, None if before is None else RunId(before), limit + 1)
    items = [summary(line) for line in lines[:limit]]
    return Page[RunSummary](items=items, next=to_cursor(items[-1].id) if len(lines) > limit else None)


@router.get("/projects/{project}/pipelines/{pipeline}/figures", dependencies=[Depends(OnProject(Action.RUN_READ))])
def pipeline_figures(
    project: str, pipeline: str, backend: Back, last: Annotated[int, Query(ge=1, le=200)] = 30, branch: Name = ""
) -> PipelineFigures:
    """Return how the latest runs of a pipeline, or of one branch of it, went: durations, steps, reasons of failures, flaky steps."""
    found = backend.history.of(project, pipeline, last, branch)
    return PipelineFigures(
        runs=[RunBar(**{name: getattr(each, name) for name in RunBar.model_fields}) for each in found.runs],
        median_seconds=found.record.median_seconds,
        p90_seconds=found.p90_seconds,
        success_rate=found.record.success_rate,
        states=Counter(each.state for each in found.runs),
        steps=[_of_step(each) for each in found.steps],
        reasons=[
            ReasonCount(outcome=outcome, reason=reason, count=count)
            for (outcome, reason), count in sorted(found.reasons.items(), key=lambda one: (-one[1], str(one[0])))
        ],
    )


def _of_step(found: StepHistory) -> StepFigures:
    outcomes = found.outcomes
    return StepFigures(
        step=found.step,
        succeeded=outcomes.get(Outcome.SUCCEEDED, 0),
        failed=outcomes.get(Outcome.FAILED, 0),
        errored=outcomes.get(Outcome.ERRORED, 0),
        cancelled=outcomes.get(Outcome.CANCELLED, 0),
        cached=found.cached,
        retried=found.retried,
        median_seconds=found.median_seconds,
        p90_seconds=found.p90_seconds,
        median_waiting=found.median_waiting,
        flaky=found.flaky,
        flaky_runs=list(found.flaky_runs),
    )
