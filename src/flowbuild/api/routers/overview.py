"""All pipelines at a glance, all work at hand, and what happens to any run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field

from flowbuild.api.access import Caller, InList, listed
from flowbuild.api.backend import Back, Backend
from flowbuild.api.pipelines import HoldView
from flowbuild.api.problems import RESPONSES
from flowbuild.api.routers.run_lists import RunSummary, summary
from flowbuild.api.staying import Staying
from flowbuild.api.streams import End, until_over
from flowbuild.core.access import Action, allowed
from flowbuild.core.model import Input
from flowbuild.services.decisions import run_topic
from flowbuild.services.news import deliveries_topic, names, pipelines_topic, runner_topic, schedules_topic
from flowbuild.services.overview import PipelineOverview, ProjectOverview
from flowbuild.services.signals import Following

router = APIRouter(prefix="/api/v1", tags=["overview"], responses=RESPONSES)
Visible = Annotated[frozenset[str] | None, Depends(InList(Action.RUN_READ))]
Readable = Annotated[frozenset[str] | None, Depends(InList(Action.PROJECT_READ))]


class PipelineGlance(BaseModel):
    """A pipeline and its latest runs. `known`: whether the default branch has it; others were found in runs."""

    name: str
    known: bool
    description: str
    inputs: list[Input]
    runs: list[RunSummary] = Field(description="the newest first, also those that go on")
    median_seconds: float | None = Field(description="of those that succeeded")
    success_rate: float | None = Field(description="from 0 to 1, of those that ended and were not cancelled")
    hold: HoldView | None = Field(description="who lets nothing of it begin; none: nobody does")


class ProjectGlance(BaseModel):
    """A project with all its pipelines. `problem`: why those of the default branch may be out of date, or are not known."""

    name: str
    branch: str
    commit: str
    errors: int = Field(description="in the pipeline files of the default branch")
    problem: str
    pipelines: list[PipelineGlance]


class WorkView(BaseModel):
    """An attempt that waits for a runner (`queued`) or has one."""

    run: str
    number: int
    project: str
    pipeline: str
    step: str
    attempt: int
    state: str = Field(description="queued, leased: a runner prepares it, launched: its containers run")
    queued_at: float
    started_at: float | None
    runner: str


@router.get("/pipelines")
def list_all_pipelines(
    visible: Readable,
    backend: Back,
    project: Annotated[str, Query(max_length=128, description="only of this one")] = "",
    last: Annotated[int, Query(ge=1, le=100, description="runs of each pipeline")] = 30,
) -> list[ProjectGlance]:
    """Return the pipelines of all projects that the caller may see, each with its latest runs."""
    names = visible
    if project:
        names = frozenset({project}) if visible is None else visible & {project}
    return [_project(each) for each in backend.overview.projects(names, last)]


@router.get("/queue")
def list_work(
    visible: Visible, backend: Back, limit: Annotated[int, Query(ge=1, le=1000, description="at most so many")] = 200
) -> list[WorkView]:
    """Return what waits for a runner and what runs, in the order in which it was queued."""
    lines = backend.overview.work(visible, limit)
    return [WorkView(**{name: getattr(line, name) for name in WorkView.model_fields}) for line in lines]


@dataclass(frozen=True, slots=True)
class Audience:
    """What somebody may be told of: runs, deliveries, schedules and pipelines of some projects (None: of all), and runners."""

    runs: frozenset[str] | None
    deliveries: frozenset[str] | None
    schedules: frozenset[str] | None
    pipelines: frozenset[str] | None
    runners: bool


def _audience(runs: Visible, caller: Caller, backend: Back) -> Audience:
    return Audience(
        runs=runs,
        deliveries=listed(caller, backend, Action.HOOK_READ),
        schedules=listed(caller, backend, Action.SCHEDULE_READ),
        pipelines=listed(caller, backend, Action.PROJECT_READ),
        runners=allowed(caller, Action.RUNNER_READ, None),
    )


@router.get("/events", response_class=EventSourceResponse)
async def follow_all(
    stay: Staying, audience: Annotated[Audience, Depends(_audience)], backend: Back
) -> AsyncIterator[ServerSentEvent]:
    """Follow all that the caller may see: each message of the type `run` is a RunSummary as it is now.

    Of other things a message says only that they are to be asked for again: `deliveries`, `schedules` and `pipelines` (which
    are held) of a project, `{"project": NAME}`, and `runner`, `{"name": NAME}`. A message of the type `reset` says that more has happened than is
    told: whoever keeps a list asks for it again. The first message is one; nothing that happens after it is left out.
    """
    with backend.changes() as changes:
        yield ServerSentEvent(data={}, event="reset")
        async for messages in until_over(_news(backend, changes, audience), backend.stop, stay):
            for message in () if isinstance(messages, End) else messages:
                yield message


async def _news(backend: Backend, changes: Following, audience: Audience) -> AsyncIterator[list[ServerSentEvent]]:
    """Yield what somebody is told, as it happens."""
    while True:
        topics = await changes.changed()
        if topics is None:
            yield [ServerSentEvent(data={}, event="reset")]
        else:
            yield await asyncio.to_thread(_told, backend, topics, audience)


def _told(backend: Backend, topics: Collection[str], audience: Audience) -> list[ServerSentEvent]:
    runs, runners = names(topics, run_topic("")), names(topics, runner_topic(""))
    lines = backend.overview.runs(runs, audience.runs) if runs else ()
    messages = [ServerSentEvent(data=summary(line), event="run") for line in lines]
    for kind, topic, visible in (
        ("deliveries", deliveries_topic(""), audience.deliveries),
        ("schedules", schedules_topic(""), audience.schedules),
        ("pipelines", pipelines_topic(""), audience.pipelines),
    ):
        told = sorted(name for name in names(topics, topic) if visible is None or name in visible)
        messages += [ServerSentEvent(data={"project": name}, event=kind) for name in told]
    told = sorted(runners) if audience.runners else []
    return messages + [ServerSentEvent(data={"name": name}, event="runner") for name in told]


def _project(found: ProjectOverview) -> ProjectGlance:
    return ProjectGlance(
        name=found.project.name,
        branch=found.branch,
        commit=found.commit,
        errors=found.errors,
        problem=found.problem,
        pipelines=[_pipeline(each) for each in found.pipelines],
    )


def _pipeline(found: PipelineOverview) -> PipelineGlance:
    definition = found.definition
    return PipelineGlance(
        name=found.name,
        known=definition is not None,
        description=definition.description if definition else "",
        inputs=list(definition.inputs) if definition else [],
        runs=[summary(line) for line in found.runs],
        median_seconds=found.record.median_seconds,
        success_rate=found.record.success_rate,
        hold=HoldView.of(found.hold),
    )
