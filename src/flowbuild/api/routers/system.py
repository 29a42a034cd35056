"""The server itself: whether it lives, whether it can serve, what it is, its figures."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from flowbuild.api.access import Caller, OnServer, Public
from flowbuild.api.backend import Back
from flowbuild.api.problems import RESPONSES
from flowbuild.core.access import Action, allowed, rights
from flowbuild.core.chat import CHAT

router = APIRouter(tags=["server"], responses=RESPONSES)


class Health(BaseModel):
    """An answer is all there is to it."""

    status: str = "ok"


class About(BaseModel):
    """What server this is."""

    version: str
    public_url: str
    demo: bool = Field(description="whether it has the files of the demo project")


class Me(BaseModel):
    """Who asks, as the server sees it."""

    kind: str
    name: str
    admin: bool
    roles: dict[str, str] = Field(description="by project")
    scopes: list[str] | None = Field(description="of a token; none: not a token")
    linked: bool | None = Field(description="of somebody for whom a bot asks, whether they have an account here")
    may: list[Action] = Field(description="what concerns the server as a whole")
    rights: dict[str, list[Action]] = Field(
        description="what each role may in its project; `public`: anybody in public ones"
    )


@router.get("/health", dependencies=[Depends(Public())])
async def health() -> Health:
    """Say that the process lives. Asks nobody."""
    return Health()


@router.get("/ready", dependencies=[Depends(Public())])
def ready(backend: Back) -> Health:
    """Say whether requests can be served: the database answers. 503 otherwise."""
    backend.ready()
    return Health()


@router.get("/metrics", dependencies=[Depends(OnServer(Action.SERVER_READ))], response_class=PlainTextResponse)
def metrics(backend: Back) -> Response:
    """Return the figures of the server in the text format of Prometheus."""
    return Response(backend.measures.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/api/v1/server", dependencies=[Depends(Public())])
async def about(backend: Back) -> About:
    """Return what server this is."""
    return About(version=backend.version, public_url=backend.public_url, demo=backend.demo.available)


@router.get("/api/v1/me", dependencies=[Depends(Public())])
def me(caller: Caller) -> Me:
    """Return who the server takes the caller for, and what they may do."""
    return Me(
        kind=caller.kind,
        name=caller.name,
        admin=caller.admin,
        roles={project: str(role) for project, role in caller.roles.items()},
        scopes=None if caller.scopes is None else sorted(caller.scopes),
        linked=caller.kind != "anonymous" if caller.via.startswith(CHAT) else None,
        may=[action for action in Action if allowed(caller, action, None)],
        rights=rights(),
    )
