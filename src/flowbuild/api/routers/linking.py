"""Who one is on chat networks: codes to say to a bot, and what one is linked to."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from flowbuild.api.access import Acting, Caller, OnServer
from flowbuild.api.backend import Back
from flowbuild.api.problems import RESPONSES
from flowbuild.core.access import Action
from flowbuild.core.chat import Network, network_of
from flowbuild.services.linking import LinkCode

router = APIRouter(prefix="/api/v1/account", tags=["account"], responses=RESPONSES)
OWN = [Depends(OnServer(Action.TOKEN_OWN))]


class LinkView(BaseModel):
    """What a chat network calls the person who asks."""

    network: str
    sender: str = Field(description="what the network calls the person; never changes")
    created_at: float


class BotSeen(BaseModel):
    """A bot that one can speak to."""

    name: str
    network: Network
    called: str = Field(description="by what name one finds it on its network; empty until it was there")
    seen_at: float | None = Field(description="when it asked something last; none: never")


@router.get("/bots", dependencies=OWN)
def list_own_bots(backend: Back) -> list[BotSeen]:
    """Return the bots that one can say a code to, by name."""
    return [
        BotSeen(name=row.name, network=Network(row.network), called=row.called, seen_at=row.seen_at)
        for row in backend.people.bots.working()
    ]


@router.post("/link-codes", status_code=201, dependencies=OWN)
def make_link_code(caller: Caller, actor: Acting, backend: Back) -> LinkCode:
    """Return a code to say to a bot, within ten minutes and once, instead of the one before. Not with a token."""
    return backend.people.linking.code(actor, caller)


@router.get("/links", dependencies=OWN)
def list_links(caller: Caller, backend: Back) -> list[LinkView]:
    """Return what chat networks call the person who asks, the oldest first."""
    rows = backend.people.linking.links(caller.id)
    return [LinkView(network=network_of(row.provider), sender=row.subject, created_at=row.created_at) for row in rows]


@router.delete("/links/{network}/{sender:path}", status_code=204, dependencies=OWN)
def unlink(network: str, sender: str, caller: Caller, actor: Acting, backend: Back) -> None:
    """Let what a network calls the person who asks mean nobody."""
    backend.people.linking.unlink(actor, caller.id, network, sender)
