"""What it takes to open a debug shell on a machine of one's own. Values of secrets are not among it."""

from __future__ import annotations

import shlex
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from flowbuild.api.access import Acting, OnRun
from flowbuild.api.backend import Back
from flowbuild.api.elsewhere import elsewhere
from flowbuild.api.problems import RESPONSES
from flowbuild.client import wire
from flowbuild.core.access import Action
from flowbuild.core.ids import RunId
from flowbuild.services.debugging import Place

router = APIRouter(prefix="/api/v1/runs/{run}", tags=["runs"], responses=RESPONSES)
Debuggable = Annotated[RunId, Depends(OnRun(Action.RUN_DEBUG))]


class DebugOrder(BaseModel):
    """Which attempt (none: the latest), and whether what it left is to be seen instead of what it got."""

    model_config = ConfigDict(extra="forbid")
    attempt: int | None = Field(None, ge=1, le=wire.NUMBER_MAX)
    output: bool = False


@router.post("/steps/{step}/debug", response_model=wire.DebugKit)
def debug_step(
    run: Debuggable, step: str, actor: Acting, backend: Back, wanted: Annotated[DebugOrder, Body()] = DebugOrder()
) -> Response:
    """Return what it takes to open a shell in the exact input of an attempt, and the command that does it.

    Files come from the repository of the run, with the same token. Secrets that the step declares are named, not given.
    """
    found = backend.debugging.hand_out(Place(run, step, wanted.attempt, wanted.output), actor)
    assignment = elsewhere(found.assignment, backend)
    words = ["flow", "--server", backend.public_url, "debug", run, step]
    words += [] if wanted.attempt is None else ["--attempt", str(wanted.attempt)]
    words += ["--output"] if wanted.output else []
    kit = wire.DebugKit(assignment, found.images, assignment.step.secrets, shlex.join(words))
    return Response(wire.dump_kit(kit), media_type="application/json")
