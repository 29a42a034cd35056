"""Commits of a project's repository, as people speak of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from flowbuild.api.access import OnProject
from flowbuild.api.backend import Back
from flowbuild.api.problems import RESPONSES
from flowbuild.core.access import Action

router = APIRouter(prefix="/api/v1/projects", tags=["projects"], responses=RESPONSES)
Commit = Annotated[str, Query(min_length=7, max_length=64, description="the id of a commit, or its beginning")]


class CommitView(BaseModel):
    """A commit."""

    commit: str
    at: float = Field(description="when it was written")
    author: str = Field(description="a name: whoever made the commit chose it")
    subject: str


@router.get("/{project}/commits", dependencies=[Depends(OnProject(Action.SOURCE_READ))])
def list_commits(
    project: str, since: Commit, until: Commit, backend: Back, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> list[CommitView]:
    """Return the commits that `until` has and `since` has not, the newest first: what came in between two runs."""
    source = backend.projects.source(project, backend.projects.at(project, until))
    return [CommitView(**each._asdict()) for each in source.since(since, limit)]
