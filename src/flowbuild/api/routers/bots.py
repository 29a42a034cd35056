"""Bots: who they are, for admins; and what they do that is theirs."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from flowbuild.api.access import Acting, Address, Caller, OnServer
from flowbuild.api.backend import Back
from flowbuild.api.problems import RESPONSES
from flowbuild.core.access import Action
from flowbuild.core.chat import Network
from flowbuild.services.linking import Said
from flowbuild.store.bots import BotRow

router = APIRouter(prefix="/api/v1", tags=["bots"], responses=RESPONSES)
REGISTER = [Depends(OnServer(Action.BOT_REGISTER))]
WORK = [Depends(OnServer(Action.BOT_WORK))]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewBot(_Strict):
    """A program that is to speak to people on a network."""

    name: str = Field(max_length=64)
    network: Network


class BotView(BaseModel):
    """A bot, without what opens anything."""

    name: str
    network: Network
    created_by: str
    created_at: float
    seen_at: float | None = Field(description="when it asked something last; none: never")
    revoked_at: float | None
    called: str = Field(description="by what name people find it on its network; empty until it was there")

    @classmethod
    def of(cls, row: BotRow) -> BotView:
        """Return what may be shown of a bot."""
        return cls(**{name: getattr(row, name) for name in cls.model_fields})


class MadeBot(BaseModel):
    """A new bot. `token` is shown this once."""

    token: str
    about: BotView


class Called(_Strict):
    """By what name people find a bot on its network."""

    called: str = Field(max_length=1024)


class CodeSaid(_Strict):
    """What somebody said to a bot. `sender`: what the network calls them for ever; `name`: what it shows."""

    code: str = Field(max_length=64)
    sender: str = Field(max_length=1024)
    name: str = Field("", max_length=1024)


class LinkedUser(BaseModel):
    """Who the sender is from now on."""

    user: str


@router.get("/bots", dependencies=REGISTER)
def list_bots(backend: Back) -> list[BotView]:
    """Return all bots by name, those that were revoked, too."""
    return [BotView.of(row) for row in backend.people.bots.all()]


@router.post("/bots", status_code=201, dependencies=REGISTER)
def add_bot(wanted: NewBot, actor: Acting, backend: Back) -> MadeBot:
    """Make a bot, in the place of a revoked one of its name."""
    token, row = backend.people.bots.create(actor, wanted.name, wanted.network)
    return MadeBot(token=token, about=BotView.of(row))


@router.delete("/bots/{name}", status_code=204, dependencies=REGISTER)
def revoke_bot(name: str, actor: Acting, backend: Back) -> None:
    """Let the token of a bot open nothing any more, at once. Who linked themselves stays linked, for the next bot."""
    backend.people.bots.revoke(actor, name)


@router.put("/bot/called", status_code=204, dependencies=WORK)
def tell_name(told: Called, caller: Caller, backend: Back) -> None:
    """Let people be told by what name they find the bot that asks."""
    backend.people.bots.called(caller.id, told.called)


@router.post("/bot/links", status_code=201, dependencies=WORK)
def use_link_code(said: CodeSaid, caller: Caller, address: Address, backend: Back) -> LinkedUser:
    """Link who said a code to whose code it is. Too many tries have to wait (429)."""
    user = backend.people.linking.link(caller, address, Said(said.code, said.sender, said.name))
    return LinkedUser(user=user.name)
