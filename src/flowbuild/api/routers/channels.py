"""Channels: where people are told what happened, by which rule, and what was sent. Of projects, and one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from flowbuild.api.access import Acting, Caller, OnProject, OnServer
from flowbuild.api.backend import Back
from flowbuild.api.paging import Cursor, Limit, Page, from_cursor, to_cursor
from flowbuild.api.problems import RESPONSES
from flowbuild.core.access import Action, Principal, require
from flowbuild.core.addresses import shown_url
from flowbuild.core.notifying import News, NewsKind, Quiet, Rule
from flowbuild.services.channels import ChannelChange, NewChannel
from flowbuild.services.dispatching import CHATS, ChannelKind
from flowbuild.store.channels import ChannelOwner, ChannelRow
from flowbuild.store.dispatches import TEST, WAITING, DispatchRow

router = APIRouter(prefix="/api/v1", tags=["channels"], responses=RESPONSES)
OF_PROJECT, OWN = "/projects/{project}/channels", "/account/channels"
Name = Annotated[str, Field(max_length=64)]
Patterns = Annotated[list[str], Field(max_length=50)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class QuietHours(_Strict):
    """Hours of the day in which nobody is disturbed, over midnight, too; what comes then is told at their end."""

    begin: str = Field(max_length=5, description='like "22:00"')
    end: str = Field(max_length=5, description='like "07:00"')
    timezone: str = Field("UTC", max_length=64)
    urgent: list[NewsKind] = Field(default=[], max_length=20, description="what is told all the same")


class RuleView(_Strict):
    """What a channel is told."""

    on: list[NewsKind] = Field(
        default=list(Rule().on),
        max_length=20,
        description="`finished` means every end, `succeeded` recoveries, too; `failed` only the first of several in a row",
    )
    pipelines: Patterns = Field(default=[], description="patterns of names; none: all")
    branches: Patterns = Field(default=[], description="patterns of branches; none: all")
    mine: bool = Field(False, description="of a person: only runs that they began, or whose commit is theirs")
    quiet: QuietHours | None = None
    digest: str = Field(
        "", max_length=8, description='"": at once; "hourly", or a time of day like "08:30": all together'
    )
    timezone: str = Field("UTC", max_length=64, description="of the digest")
    mention: bool = Field(True, description="on chat networks: call the author by name, on failures only")


class ChannelPatch(_Strict):
    """What is to be different; null: as it is. `renew_secret` makes a new secret of a webhook."""

    target: str | None = Field(None, max_length=5400)
    rule: RuleView | None = Field(None, description="instead of the whole rule")
    disabled: bool | None = None
    renew_secret: bool | None = None


class ChannelIn(_Strict):
    """A channel. One's own leads to oneself: then the target of e-mail and chat is empty."""

    name: Name
    kind: ChannelKind
    target: str = Field("", max_length=5400, description="e-mail addresses with commas between, a URL, or a room")
    rule: RuleView = Field(default_factory=RuleView)


class ChannelView(BaseModel):
    """A channel. Of the URL of a webhook only its host is shown; its secret only when it is new."""

    name: str
    kind: ChannelKind
    target: str
    rule: RuleView
    disabled: bool
    created_by: str
    created_at: float
    secret: str | None = Field(None, description="what requests are signed with, told this once")


class DispatchView(BaseModel):
    """Something that was sent to a channel, or will be."""

    id: str
    event: NewsKind
    test: bool
    state: Literal["waiting", "sent", "failed"]
    run: str = Field(description="empty: it is about no run")
    number: int
    pipeline: str
    created_at: float
    next_at: float | None = Field(description="when it is sent, or tried again; none: it is settled")
    sent_at: float | None
    tries: int = Field(description="those that failed")
    error: str
    answer: str = Field(description="what the receiver said")


class Begun(BaseModel):
    """What was begun: an entry of the log of the channel."""

    id: str


def _of_project(project: str) -> ChannelOwner:
    return ChannelOwner(project=project)


def _of_caller(caller: Caller) -> ChannelOwner:
    return ChannelOwner(user_id=caller.id)


Projects = Annotated[ChannelOwner, Depends(_of_project)]
Mine = Annotated[ChannelOwner, Depends(_of_caller)]
READ = [Depends(OnProject(Action.CHANNEL_READ))]
CHANGE = [Depends(OnProject(Action.CHANNEL_CHANGE))]
ROOMS = [Depends(OnProject(Action.CHANNEL_ROOM))]  # and CHANGE for channels that lead elsewhere, see `_beyond_rooms`
ACCOUNT = [Depends(OnServer(Action.CHANNEL_OWN))]


@router.get(OF_PROJECT, dependencies=READ)
def list_channels(owner: Projects, backend: Back) -> list[ChannelView]:
    """Return the channels of a project, by name."""
    return [_shown(row) for row in backend.telling.channels.of(owner)]


@router.post(OF_PROJECT, status_code=201, dependencies=ROOMS)
def add_channel(wanted: ChannelIn, owner: Projects, caller: Caller, actor: Acting, backend: Back) -> ChannelView:
    """Add a channel to a project. One that leads to no room of a chat network takes the scope `manage`."""
    _beyond_rooms(caller, owner, wanted.kind)
    return _shown(*backend.telling.channels.add(actor, owner, _wanted(wanted)))


@router.patch(OF_PROJECT + "/{name}", dependencies=ROOMS)
def change_channel(
    name: str, wanted: ChannelPatch, owner: Projects, caller: Caller, actor: Acting, backend: Back
) -> ChannelView:
    """Change a channel of a project: another target, or one that leads to no room, takes the scope `manage`.

    What waits for one that is disabled is given up.
    """
    if wanted.target is not None:
        require(caller, Action.CHANNEL_CHANGE, owner.project)
    _beyond_rooms(caller, owner, backend.telling.channels.get(owner, name).kind)
    return _shown(*backend.telling.channels.change(actor, owner, name, _change(wanted)))


@router.delete(OF_PROJECT + "/{name}", status_code=204, dependencies=ROOMS)
def remove_channel(name: str, owner: Projects, caller: Caller, actor: Acting, backend: Back) -> None:
    """Remove a channel of a project, with its log and what waits for it. One that leads to no room takes the scope `manage`."""
    _beyond_rooms(caller, owner, backend.telling.channels.get(owner, name).kind)
    backend.telling.channels.remove(actor, owner, name)


@router.post(OF_PROJECT + "/{name}/test", status_code=202, dependencies=CHANGE)
def try_channel(name: str, owner: Projects, actor: Acting, backend: Back) -> Begun:
    """Send something to a channel of a project at once; its log says what became of it."""
    return Begun(id=backend.telling.channels.test(actor, owner, name))


@router.get(OF_PROJECT + "/{name}/dispatches", dependencies=READ)
def list_dispatches(
    name: str, owner: Projects, backend: Back, limit: Limit = 50, cursor: Cursor = ""
) -> Page[DispatchView]:
    """Return what a channel of a project was told, and is to be told, the newest first."""
    return _page(backend.telling.channels.page(owner, name, from_cursor(cursor), limit + 1), limit)


@router.post(OF_PROJECT + "/{name}/dispatches/{dispatch}/again", status_code=202, dependencies=CHANGE)
def send_again(name: str, dispatch: str, owner: Projects, actor: Acting, backend: Back) -> Begun:
    """Send once more what was sent, or given up."""
    return Begun(id=backend.telling.channels.again(actor, owner, name, dispatch))


@router.get(OWN, dependencies=ACCOUNT)
def list_own_channels(owner: Mine, backend: Back) -> list[ChannelView]:
    """Return one's own channels, by name."""
    return [_shown(row) for row in backend.telling.channels.of(owner)]


@router.post(OWN, status_code=201, dependencies=ACCOUNT)
def add_own_channel(wanted: ChannelIn, owner: Mine, caller: Caller, actor: Acting, backend: Back) -> ChannelView:
    """Add a channel of one's own: it is told of the projects in which one has a role. A webhook takes the scope `account`."""
    if wanted.kind is ChannelKind.WEBHOOK:
        require(caller, Action.TOKEN_OWN, None)  # it would go on when the token does not
    return _shown(*backend.telling.channels.add(actor, owner, _wanted(wanted)))


@router.patch(OWN + "/{name}", dependencies=ACCOUNT)
def change_own_channel(
    name: str, wanted: ChannelPatch, owner: Mine, caller: Caller, actor: Acting, backend: Back
) -> ChannelView:
    """Change a channel of one's own. Another target, or a new secret, takes the scope `account`."""
    if wanted.target or wanted.renew_secret:
        require(caller, Action.TOKEN_OWN, None)
    return _shown(*backend.telling.channels.change(actor, owner, name, _change(wanted)))


@router.delete(OWN + "/{name}", status_code=204, dependencies=ACCOUNT)
def remove_own_channel(name: str, owner: Mine, actor: Acting, backend: Back) -> None:
    """Remove a channel of one's own, with its log and what waits for it."""
    backend.telling.channels.remove(actor, owner, name)


@router.post(OWN + "/{name}/test", status_code=202, dependencies=ACCOUNT)
def try_own_channel(name: str, owner: Mine, actor: Acting, backend: Back) -> Begun:
    """Send something to a channel of one's own at once."""
    return Begun(id=backend.telling.channels.test(actor, owner, name))


@router.get(OWN + "/{name}/dispatches", dependencies=ACCOUNT)
def list_own_dispatches(
    name: str, owner: Mine, backend: Back, limit: Limit = 50, cursor: Cursor = ""
) -> Page[DispatchView]:
    """Return what a channel of one's own was told, and is to be told, the newest first."""
    return _page(backend.telling.channels.page(owner, name, from_cursor(cursor), limit + 1), limit)


@router.post(OWN + "/{name}/dispatches/{dispatch}/again", status_code=202, dependencies=ACCOUNT)
def send_own_again(name: str, dispatch: str, owner: Mine, actor: Acting, backend: Back) -> Begun:
    """Send once more what was sent to a channel of one's own, or given up."""
    return Begun(id=backend.telling.channels.again(actor, owner, name, dispatch))


def _beyond_rooms(caller: Principal, owner: ChannelOwner, kind: str) -> None:
    """Raise Forbidden when a channel leads out of the chat networks and who asks may only say what rooms are told."""
    if kind not in CHATS:
        require(caller, Action.CHANNEL_CHANGE, owner.project)


def _wanted(wanted: ChannelIn) -> NewChannel:
    return NewChannel(wanted.name, wanted.kind, wanted.target, _rule(wanted.rule))


def _change(wanted: ChannelPatch) -> ChannelChange:
    rule = None if wanted.rule is None else _rule(wanted.rule)
    return ChannelChange(wanted.target, rule, wanted.disabled, wanted.renew_secret)


def _rule(view: RuleView) -> Rule:
    quiet = None if view.quiet is None else Quiet(**view.quiet.model_dump())
    return Rule(**{**view.model_dump(), "quiet": quiet})


def _shown(row: ChannelRow, secret: str = "") -> ChannelView:
    hidden = row.kind == ChannelKind.WEBHOOK
    return ChannelView(
        name=row.name,
        kind=ChannelKind(row.kind),
        target=shown_url(row.target) if hidden else row.target,
        rule=RuleView.model_validate(row.rule, from_attributes=True),
        disabled=row.disabled_at is not None,
        created_by=row.created_by,
        created_at=row.created_at,
        secret=secret or None,
    )


def _page(rows: Sequence[DispatchRow], limit: int) -> Page[DispatchView]:
    more = to_cursor(rows[limit - 1].id) if len(rows) > limit else None
    return Page(items=[_dispatch(row, row.news) for row in rows[:limit]], next=more)


def _dispatch(row: DispatchRow, news: News) -> DispatchView:
    return DispatchView(
        id=row.id,
        event=news.kind,
        test=row.subject.startswith(TEST),
        state=row.state,
        run=news.run,
        number=news.number,
        pipeline=news.pipeline,
        created_at=row.created_at,
        next_at=row.next_at if row.state == WAITING else None,
        sent_at=row.sent_at,
        tries=row.tries,
        error=row.error,
        answer=row.answer,
    )
