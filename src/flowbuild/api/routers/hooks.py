"""Webhooks: who may tell that something happened, and the address where it is told."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from flowbuild.api.access import Acting, OnProject, Public
from flowbuild.api.backend import Back, Backend
from flowbuild.api.problems import RESPONSES
from flowbuild.core.access import Action
from flowbuild.services.deliveries import Sent
from flowbuild.services.hooks import HookChange
from flowbuild.store.hooks import HookRow

router = APIRouter(tags=["webhooks"], responses=RESPONSES)
PATH = "/api/v1/projects/{project}/hooks"
CHANGE = [Depends(OnProject(Action.HOOK_CHANGE))]
Secret = Annotated[str | None, Field(max_length=1024)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class HookPatch(_Strict):
    """What is to be different. An empty `secret` makes a new random one; an empty `token` takes it away."""

    secret: Secret = Field(None, description="what deliveries are signed with; 16 characters or more")
    token: Secret = Field(None, description="for statuses of commits at the forge; never shown again")
    api_url: str | None = Field(None, max_length=1000, description="of the forge; empty: the usual one")
    mapping: dict[str, Any] | None = Field(
        None, description="of a generic webhook: `inputs` (name to path in the body), `branch`, `commit`"
    )


class NewHook(HookPatch):
    """A webhook. Without a secret a random one is made."""

    kind: Literal["github", "gitlab", "gitea", "bitbucket", "generic"]
    name: str = Field(max_length=64, description="pipelines name a generic webhook in `on: webhook`")


class HookView(BaseModel):
    """A webhook. Its token is never told, only whether there is one; its secret only when it is new."""

    name: str
    kind: str
    url: str = Field(description="where the forge is to send to, as JSON")
    api_url: str
    mapping: dict[str, Any]
    has_token: bool
    created_at: float
    secret: str | None = Field(None, description="told this once")


class ReceiptView(BaseModel):
    """What a sender is told. `duplicate`: this was delivered before, and nothing follows again."""

    id: str
    duplicate: bool
    note: str


@router.get(PATH, dependencies=[Depends(OnProject(Action.HOOK_READ))])
def list_hooks(project: str, backend: Back) -> list[HookView]:
    """Return the webhooks of a project, by name."""
    return [_shown(backend, row) for row in backend.triggers.hooks.list(project)]


@router.post(PATH, status_code=201, dependencies=CHANGE)
def add_hook(project: str, wanted: NewHook, actor: Acting, backend: Back) -> HookView:
    """Add a webhook."""
    row, secret = backend.triggers.hooks.add(actor, project, wanted.kind, wanted.name, _change(wanted))
    return _shown(backend, row, secret)


@router.patch(PATH + "/{name}", dependencies=CHANGE)
def change_hook(project: str, name: str, wanted: HookPatch, actor: Acting, backend: Back) -> HookView:
    """Change a webhook."""
    row, secret = backend.triggers.hooks.change(actor, project, name, _change(wanted))
    return _shown(backend, row, secret)


@router.delete(PATH + "/{name}", status_code=204, dependencies=CHANGE)
def remove_hook(project: str, name: str, actor: Acting, backend: Back) -> None:
    """Remove a webhook, with what was delivered."""
    backend.triggers.hooks.remove(actor, project, name)


@router.post("/hooks/{project}/{name}", status_code=202, dependencies=[Depends(Public())])
async def receive_delivery(project: str, name: str, request: Request, response: Response, backend: Back) -> ReceiptView:
    """Take a delivery of a webhook: signed, or with its token. It is stored when this answers; what follows, follows later."""
    headers, body = dict(request.headers), await request.body()
    receipt = await backend.triggers.deliveries.take(Sent(project, name, headers, body))
    if receipt.duplicate:
        response.status_code = 200
    return ReceiptView(id=receipt.id, duplicate=receipt.duplicate, note=receipt.note)


def _change(wanted: HookPatch) -> HookChange:
    return HookChange(wanted.secret, wanted.token, wanted.api_url, wanted.mapping)


def _shown(backend: Backend, row: HookRow, secret: str = "") -> HookView:
    return HookView(
        name=row.name,
        kind=row.kind,
        url=f"{backend.public_url}/hooks/{row.project}/{row.name}",
        api_url=row.api_url,
        mapping=dict(row.mapping),
        has_token=bool(row.sealed_token),
        created_at=row.created_at,
        secret=secret or None,
    )
