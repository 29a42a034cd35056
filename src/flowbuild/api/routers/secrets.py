"""Secrets of a project: set and removed here, given to steps, never read again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from flowbuild.api.access import Acting, OnProject
from flowbuild.api.backend import Back
from flowbuild.api.problems import RESPONSES
from flowbuild.core.access import Action
from flowbuild.core.scoping import SecretScope
from flowbuild.services.secrets import SecretInfo

router = APIRouter(prefix="/api/v1/projects/{project}/secrets", tags=["secrets"], responses=RESPONSES)
WRITE = [Depends(OnProject(Action.SECRET_WRITE))]


class SecretIn(BaseModel):
    """A value, and for which steps it is. Of several values of a name the most narrow one that fits counts."""

    model_config = ConfigDict(extra="forbid")
    value: str = Field(max_length=65_536)
    environment: str = Field("", max_length=128, description="only for steps that act on it; empty: for all")
    branches: str = Field("", max_length=512, description="a pattern, `release/*`; of tags `tags/v*`; empty: for all")
    steps: Annotated[list[str], Field(max_length=100, description="names; none: for all")] = []


class SecretView(BaseModel):
    """What people may know of a secret."""

    id: str
    name: str
    environment: str
    branches: str
    steps: list[str]
    version: int = Field(description="how often it was set")
    created_by: str
    created_at: float
    updated_at: float
    used_at: float | None = Field(description="when a step got it last")


@router.get("", dependencies=[Depends(OnProject(Action.SECRET_LIST))])
def list_secrets(project: str, backend: Back) -> list[SecretView]:
    """Return the secrets of the project, by name, without values."""
    return [_shown(info) for info in backend.people.secrets.of_project(project)]


@router.put("/{name}", dependencies=WRITE)
def put_secret(project: str, name: str, wanted: SecretIn, actor: Acting, backend: Back) -> SecretView:
    """Set a secret; the value for the same environment and branches is replaced. Runs that are not trusted get none."""
    scope = SecretScope(wanted.environment, wanted.branches, tuple(wanted.steps))
    return _shown(backend.people.secrets.put(actor, project, name, wanted.value, scope))


@router.delete("/{secret}", status_code=204, dependencies=WRITE)
def remove_secret(project: str, secret: str, actor: Acting, backend: Back) -> None:
    """Forget a secret, by its id."""
    backend.people.secrets.remove(actor, project, secret)


def _shown(info: SecretInfo) -> SecretView:
    return SecretView(
        id=info.id,
        name=info.name,
        environment=info.scope.environment,
        branches=info.scope.branches,
        steps=list(info.scope.steps),
        version=info.version,
        created_by=info.created_by,
        created_at=info.created_at,
        updated_at=info.updated_at,
        used_at=info.used_at,
    )
