"""What the pipelines of a project act on: an environment is one step's at a time."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from flowbuild.api.access import OnProject
from flowbuild.api.backend import Back
from flowbuild.api.problems import RESPONSES
from flowbuild.core.access import Action
from flowbuild.core.states import Outcome
from flowbuild.services.environments import EnvironmentInfo
from flowbuild.store.deployments import Deployment, InLine

router = APIRouter(prefix="/api/v1/projects/{project}/environments", tags=["environments"], responses=RESPONSES)


class LineView(BaseModel):
    """A step that has an environment, or waits for it."""

    run: str
    number: int
    pipeline: str
    step: str


class DeploymentView(LineView):
    """A step that got an environment, at a time. `outcome`: null while it goes on."""

    branch: str
    commit: str
    actor: str
    at: float
    outcome: Outcome | None


class EnvironmentView(BaseModel):
    """An environment that runs acted on, or wait for, as far as they are kept."""

    name: str
    holder: LineView | None
    waiting: list[LineView] = Field(description="in their order")
    latest: DeploymentView | None = Field(description="who got it last")
    deployed: DeploymentView | None = Field(description="the last one that succeeded")


@router.get("", dependencies=[Depends(OnProject(Action.RUN_READ))])
def list_environments(project: str, backend: Back) -> list[EnvironmentView]:
    """Return the environments of a project, by name; those of its pipeline files are listed with the pipelines."""
    return [_shown(each) for each in backend.environments.of_project(project)]


def _shown(found: EnvironmentInfo) -> EnvironmentView:
    line = [_line(each) for each in found.line]
    return EnvironmentView(
        name=found.name,
        holder=line[0] if line else None,
        waiting=line[1:],
        latest=_deployment(found.latest),
        deployed=_deployment(found.deployed),
    )


def _line(each: InLine) -> LineView:
    return LineView(run=each.run, number=each.number, pipeline=each.pipeline, step=each.step)


def _deployment(found: Deployment | None) -> DeploymentView | None:
    if found is None:
        return None
    return DeploymentView(
        run=found.run,
        number=found.number,
        pipeline=found.pipeline,
        step=found.step,
        branch=found.branch,
        commit=found.commit,
        actor=found.actor,
        at=found.at,
        outcome=found.outcome,
    )
