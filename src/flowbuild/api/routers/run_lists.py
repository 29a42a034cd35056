"""Lists of runs, and how a pipeline has done lately."""

from __future__ import annotations

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
from flowbuild.core.states import RunState
from flowbuild.services.overview import record_of
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


class PipelineFigures(BaseModel):
    """How a pipeline has done lately. Both figures are of the runs in `runs` that were not cancelled; none without any."""

    runs: list[RunBar] = Field(description="that have ended, the newest first")
    median_seconds: float | None = Field(description="of those that succeeded")
    success_rate: float | None = Field(description="from 0 to 1")


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
    project: str, pipeline: str, backend: Back, last: Annotated[int, Query(ge=1, le=200)] = 30
) -> PipelineFigures:
    """Return how the latest runs of a pipeline ended, their median duration and how many of them succeeded."""
    found = backend.looking.statistics(project, pipeline, last)
    record = record_of([(each.state, each.seconds) for each in found])
    return PipelineFigures(
        runs=[RunBar(id=each.id, number=each.number, state=each.state, seconds=each.seconds) for each in found],
        median_seconds=record.median_seconds,
        success_rate=record.success_rate,
    )
