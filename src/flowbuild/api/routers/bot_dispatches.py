"""What bots are to say: they take it, say it on their network, and tell what became of it."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from flowbuild.api.access import OnServer
from flowbuild.api.backend import Back, Backend
from flowbuild.api.problems import RESPONSES
from flowbuild.api.waiting import while_there
from flowbuild.core.access import Action, Principal
from flowbuild.core.errors import Forbidden
from flowbuild.core.notifying import NewsKind
from flowbuild.services.dispatching import ChannelKind, Item, Parcel

router = APIRouter(prefix="/api/v1/bot/dispatches", tags=["bots"], responses=RESPONSES)
Bot = Annotated[Principal, Depends(OnServer(Action.BOT_WORK))]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Take(_Strict):
    """How long to wait for something, in seconds, and how much to hand out at most."""

    wait: float = Field(0.0, ge=0, le=30)
    limit: int = Field(10, ge=1, le=100)


class StepNewsView(BaseModel):
    """A step that did not succeed, or that waits for people. `lines`: those of its log that say why."""

    key: str
    outcome: str
    message: str
    exit_code: int | None
    lines: list[str]


class NewsView(BaseModel):
    """Something that happened to a run, or to a machine: then only `node`, `message` and `at` are set."""

    kind: NewsKind
    at: float
    project: str
    pipeline: str
    run: str
    number: int
    branch: str
    commit: str
    subject: str
    author: str
    actor: str
    url: str
    seconds: float | None = Field(description="that the run took")
    steps: list[StepNewsView]
    node: str
    message: str


class DispatchItem(BaseModel):
    """Something to say. `remote`: what the network calls the message to be edited; empty: there is none yet.

    `earlier`: what the message told before, the oldest first.
    """

    message: str
    remote: str
    event: NewsKind
    news: NewsView
    earlier: list[NewsView]


class DispatchTask(DispatchItem):
    """What is to be said at once; the same `id` comes again when it is not settled within a minute.

    `room` is empty when it goes to a person directly: `sender` says to whom. `mention`: what the network calls the author, who is to be
    called by name; empty: nobody. `digest`: all that was collected, one message; otherwise it holds nothing.
    """

    id: str
    kind: ChannelKind
    channel: str
    project: str = Field(description="of the channel; empty: it is of a person")
    room: str
    sender: str
    direct: bool
    mention: str
    test: bool = Field(description="somebody tries the channel")
    tries: int
    digest: list[DispatchItem]


class Settled(_Strict):
    """What became of it. `again`: try once more, after so many seconds if that is said."""

    state: Literal["sent", "failed", "again"]
    remote: str = Field("", max_length=1024, description="what the network calls the message")
    error: str = Field("", max_length=4096)
    again_after: float | None = Field(None, ge=0, le=86_400)


@router.post("/take")
async def take_dispatches(wanted: Take, request: Request, bot: Bot, backend: Back) -> list[DispatchTask]:
    """Return what is to be said on the bot's network, claimed for a minute; waits for something."""
    taking = backend.telling.dispatches.take(
        [await asyncio.to_thread(_network, bot, backend)], wanted.limit, wanted.wait
    )
    return [_task(parcel) for parcel in await while_there(taking, request, backend)]


@router.post("/{dispatch}", status_code=204)
def settle_dispatch(dispatch: str, wanted: Settled, bot: Bot, backend: Back) -> None:
    """Say what became of something that was taken."""
    service = backend.telling.dispatches
    if service.kind(dispatch) is not (network := _network(bot, backend)):
        raise Forbidden(f"that is not for a bot on {network}")
    if wanted.state == "sent":
        service.sent(dispatch, remote=wanted.remote)
        return
    again_at = None if wanted.again_after is None else backend.clock() + wanted.again_after
    service.failed(dispatch, wanted.error, lasting=wanted.state == "failed", again_at=again_at)


def _network(bot: Principal, backend: Backend) -> ChannelKind:
    """Return the network that a bot speaks on."""
    return ChannelKind(backend.people.bots.network(bot.id))


def _task(parcel: Parcel) -> DispatchTask:
    items = [_item(item) for item in parcel.items]
    return DispatchTask(
        **items[0].model_dump(),
        id=parcel.id,
        kind=parcel.kind,
        channel=parcel.channel,
        project=parcel.project,
        room=parcel.target,
        sender=parcel.sender,
        direct=bool(parcel.sender),
        mention=parcel.mention,
        test=parcel.test,
        tries=parcel.tries,
        digest=items if parcel.digest else [],
    )


def _item(item: Item) -> DispatchItem:
    return DispatchItem(
        message=item.message,
        remote=item.remote,
        event=item.news.kind,
        news=NewsView.model_validate(item.news, from_attributes=True),
        earlier=[NewsView.model_validate(each, from_attributes=True) for each in item.earlier],
    )
