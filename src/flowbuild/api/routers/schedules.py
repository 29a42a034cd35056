"""Schedules, as the pipeline file at the head of the default branch has them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from flowbuild.api.access import Acting, OnProject
from flowbuild.api.backend import Back
from flowbuild.api.problems import RESPONSES
from flowbuild.core.access import Action
from flowbuild.services.schedules import ScheduleView as View

router = APIRouter(prefix="/api/v1/projects/{project}/schedules", tags=["schedules"], responses=RESPONSES)


class ScheduleView(BaseModel):
    """A schedule of a pipeline. `last_run` began at `last_at`, or `error` says why none did."""

    pipeline: str
    position: int = Field(description="in the list of the pipeline, from 0")
    cron: str
    timezone: str
    words: str
    branch: str = Field(description="empty: the default branch")
    misfire: str
    paused_at: float | None
    next: list[float] = Field(description="the next times; none while it is paused")
    last_at: float | None
    last_run: str | None
    error: str


class SchedulePatch(BaseModel):
    """Whether it is paused. What would have been due meanwhile is not made up for."""

    model_config = ConfigDict(extra="forbid")
    paused: bool


@router.get("", dependencies=[Depends(OnProject(Action.SCHEDULE_READ))])
def list_schedules(project: str, backend: Back) -> list[ScheduleView]:
    """Return the schedules of a project, with their next times."""
    return [_shown(view) for view in backend.triggers.schedules.list(project)]


@router.patch("/{pipeline}/{position}", dependencies=[Depends(OnProject(Action.SCHEDULE_CHANGE))])
def change_schedule(
    project: str,
    pipeline: str,
    position: Annotated[int, Path(ge=0, lt=1000)],
    wanted: SchedulePatch,
    actor: Acting,
    backend: Back,
) -> ScheduleView:
    """Pause a schedule, or let it go on."""
    return _shown(backend.triggers.schedules.pause(actor, project, pipeline, position, paused=wanted.paused))


def _shown(view: View) -> ScheduleView:
    row = view.row
    return ScheduleView(
        pipeline=row.key.pipeline,
        position=row.key.position,
        cron=row.cron,
        timezone=row.timezone,
        words=view.words,
        branch=row.branch,
        misfire=row.misfire,
        paused_at=row.paused_at,
        next=list(view.times),
        last_at=row.last_at,
        last_run=row.last_run,
        error=row.error,
    )
