"""Roles of people in a project."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict

from flowbuild.api.access import Acting, OnProject
from flowbuild.api.backend import Back
from flowbuild.api.problems import RESPONSES
from flowbuild.core.access import Action, Role

router = APIRouter(prefix="/api/v1/projects/{project}/members", tags=["members"], responses=RESPONSES)
CHANGE = [Depends(OnProject(Action.MEMBER_CHANGE))]


class MemberView(BaseModel):
    """A person and their role."""

    name: str
    display_name: str
    role: Role


class RoleIn(BaseModel):
    """A role; each includes those before it."""

    model_config = ConfigDict(extra="forbid")
    role: Role


@router.get("", dependencies=[Depends(OnProject(Action.MEMBER_READ))])
def list_members(project: str, backend: Back) -> list[MemberView]:
    """Return who has a role in the project, by name; admins of the server have every role everywhere."""
    rows = backend.people.members.of_project(project)
    return [MemberView(name=row.name, display_name=row.display_name, role=row.role) for row in rows]


@router.put("/{name}", status_code=204, dependencies=CHANGE)
def put_member(project: str, name: str, wanted: RoleIn, actor: Acting, backend: Back) -> None:
    """Give a person a role, instead of the one they had."""
    backend.people.members.put(actor, project, name, wanted.role)


@router.delete("/{name}", status_code=204, dependencies=CHANGE)
def remove_member(project: str, name: str, actor: Acting, backend: Back) -> None:
    """Take the role of a person away."""
    backend.people.members.remove(actor, project, name)
