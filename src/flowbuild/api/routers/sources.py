"""Sources of runs for machines elsewhere: `git describe` and `git log` work in their steps and debug shells, too. Nobody writes."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from flowbuild.api.backend import Back
from flowbuild.api.places import Long
from flowbuild.api.routers.git import OnRepository, Visit
from flowbuild.core.access import Action
from flowbuild.core.errors import Forbidden
from flowbuild.workspace.serve import UPLOAD

router = APIRouter(prefix="/git/sources/{run}.git", include_in_schema=False)
Reader = Annotated[Visit, Depends(OnRepository(Action.SOURCE_READ))]


@router.get("/info/refs")
def advertise_source(visit: Reader, backend: Back, service: Annotated[str, Query(max_length=32)] = "") -> Response:
    """Answer the first question of git."""
    if service != UPLOAD:
        raise Forbidden("the source of a run can only be fetched")
    return Long(nullcontext(), backend.git.advertise(backend.repositories.source(visit.run), UPLOAD))


@router.post("/git-upload-pack")
def fetch_source(visit: Reader, backend: Back) -> Response:
    """Answer a fetch."""
    return Long(nullcontext(), backend.git.fetch(backend.repositories.source(visit.run)))
