"""Holds: keep a pipeline from beginning, and let it go."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends
from pydantic import BaseModel, ConfigDict, Field

from flowbuild.api.access import Acting, OnProject
from flowbuild.api.backend import Back
from flowbuild.api.pipelines import HoldView
from flowbuild.api.problems import RESPONSES
from flowbuild.core.access import Action
from flowbuild.services.holds import REASON_MAX

router = APIRouter(
    prefix="/api/v1/projects/{project}/pipelines/{pipeline}/hold", tags=["projects"], responses=RESPONSES
)
HOLD = [Depends(OnProject(Action.PIPELINE_HOLD))]


class HoldIn(BaseModel):
    """Why nothing is to begin."""

    model_config = ConfigDict(extra="forbid")
    reason: str = Field("", max_length=REASON_MAX)


@router.put("", dependencies=HOLD)
def hold_pipeline(
    project: str, pipeline: str, actor: Acting, backend: Back, wanted: Annotated[HoldIn, Body()] = HoldIn()
) -> HoldView:
    """Let nothing of a pipeline begin, for whatever reason; runs that are there go on. The first who holds it does so."""
    row = backend.holds.hold(actor, project, pipeline, wanted.reason)
    return HoldView(by=row.held_by, reason=row.reason, at=row.at)


@router.delete("", status_code=204, dependencies=HOLD)
def let_pipeline_go(project: str, pipeline: str, actor: Acting, backend: Back) -> None:
    """Let a pipeline begin again, whoever holds it. What did not begin meanwhile is not made up for."""
    backend.holds.let_go(actor, project, pipeline)
