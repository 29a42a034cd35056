"""Matrix, by its client-server API (matrix-nio). Rooms without encryption only: with it, a bot would have to keep keys of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog
from aiohttp import ClientError
from nio import (  # type: ignore[import-untyped]
    AsyncClient,
    AsyncClientConfig,
    ErrorResponse,
    InviteInfo,
    LoginResponse,
    Response,
    RoomCreateResponse,
    RoomGetStateResponse,
    RoomInfo,
    RoomMessagesResponse,
    RoomPreset,
    RoomSendResponse,
    SyncResponse,
    WhoamiResponse,
)

from flowbuild.bot.adapters.base import Incoming
from flowbuild.bot.adapters.fitting import clean
from flowbuild.bot.adapters.matrix_text import OURS, content_of, in_place, in_thread
from flowbuild.bot.adapters.pauses import Pauses
from flowbuild.bot.memory import Memory
from flowbuild.bot.messages import Message
from flowbuild.core.errors import ChatError

log = structlog.get_logger()
R = TypeVar("R", bound=Response)
WAIT = 30_000  # milliseconds that the server keeps a question for news
PAGE = 100  # messages asked for at once, of what was said while nobody listened
PAGES = 100
TYPES = ["m.room.message", "m.room.encrypted"]
TYPES += ["m.room.member", "m.room.join_rules", "m.room.encryption", "m.room.history_visibility"]  # see Room
FILTER: dict[str, Any] = {
    "presence": {"types": []},
    "account_data": {"types": []},
    "room": {
        "timeline": {"types": TYPES, "limit": 50},
        "state": {"types": TYPES, "lazy_load_members": True},
        "ephemeral": {"types": []},
        "account_data": {"types": []},
    },
}
PASSING = {"M_LIMIT_EXCEEDED", "M_RESOURCE_LIMIT_EXCEEDED"}
CANNOT_READ = (
    "I cannot read this room: it is encrypted, and I do not support that. "
    "Start a conversation without encryption, or ask an administrator for a room without it."
)


@dataclass(frozen=True, slots=True)
class MatrixOptions:
    """Where the bot is at home. `token`, or `user` and `password`.

    `invites`: whose invitations it accepts: people (@ann:example.org), whole servers (example.org), rooms (!id:example.org),
    or * for everybody's; nobody's when empty.
    """

    homeserver: str
    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    invites: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Room:
    """What has to be known of a room before something is said in it. `names`: of the people in it or invited."""

    names: Mapping[str, str]
    open: bool
    encrypted: bool

    @property
    def direct(self) -> bool:
        """Tell whether only the bot and one other read here."""
        return len(self.names) <= 2 and not self.open


class MatrixAdapter:
    """See Adapter. `expects`: whether somebody was asked something in a room and may answer without naming the bot."""

    network = "matrix"

    def __init__(
        self,
        options: MatrixOptions,
        memory: Memory,
        *,
        expects: Callable[[str, str], bool] = lambda _room, _sender: False,
    ) -> None:
        self._options, self._expects = options, expects
        self.listening, self.called = asyncio.Event(), ""
        self._place, self._seen = memory.table("matrix"), memory.table("seen")
        self._sent, self._direct = memory.table("sent"), memory.table("direct")
        config = AsyncClientConfig(encryption_enabled=False, max_limit_exceeded=0, max_timeouts=0)
        self._client = AsyncClient(options.homeserver.rstrip("/"), options.user, config=config)
        self._signing_in = asyncio.Lock()
        self._signed_in = False
        self._rooms: dict[str, Room] = {}

    async def incoming(self) -> AsyncIterator[Incoming]:
        """See Adapter. What was said before the first start is not answered."""
        pauses = Pauses()
        while True:
            since = self._place.get("since", "")
            try:
                answer = await self._ask(self._sync(since), SyncResponse)
                await self._invited(answer.rooms.invite)
                if since:
                    for room, info in answer.rooms.join.items():
                        async for said in self._in_room(room, info, since):
                            yield said
            except ChatError as error:
                if error.lasting:
                    raise
                pause = pauses.next(error.again_after)
                log.warning("matrix is away", error=error.message, again_in=round(pause, 1))
                await asyncio.sleep(pause)
            else:
                pauses.reset()
                self._place["since"] = answer.next_batch
                self.listening.set()

    async def send(self, room: str, message: Message, *, key: str, thread: str = "") -> str:
        """See Adapter."""
        if key in self._sent:
            return self._sent[key]
        content = content_of(message, prefix=await self._prefix(room))
        remote = await self._put(room, in_thread(content, thread) if thread else content, key)
        self._sent[key] = remote
        return remote

    async def edit(self, room: str, remote: str, message: Message, *, key: str) -> None:
        """See Adapter."""
        if key not in self._sent:
            content = content_of(message, prefix=await self._prefix(room))
            self._sent[key] = await self._put(room, in_place(content, remote), key)

    async def direct_room(self, sender: str) -> str:
        """See Adapter. The person is invited, and sees what is said there when they accept."""
        known = self._direct.get(sender, "")
        if known:
            try:
                room = await self._room(known)
            except ChatError as error:
                if not error.lasting:
                    raise
            else:
                if sender in room.names and room.direct and not room.encrypted:
                    return known
        made = self._client.room_create(is_direct=True, preset=RoomPreset.trusted_private_chat, invite=[sender])
        self._direct[sender] = (await self._ask(made, RoomCreateResponse)).room_id
        return self._direct[sender]

    async def close(self) -> None:
        """See Adapter."""
        await self._client.close()

    async def _prefix(self, room: str) -> str:
        """Return what commands begin with in a room. Raises ChatError for one that is encrypted: nobody expects plain text there."""
        facts = await self._room(room)
        if facts.encrypted:
            hint = "name a room without encryption"
            raise ChatError(f"the room {room} is encrypted, which the bot does not support", lasting=True, hint=hint)
        return "" if facts.direct else f"{self._local()}: "

    async def _put(self, room: str, content: Mapping[str, Any], key: str) -> str:
        sending = self._client.room_send(room, "m.room.message", dict(content), tx_id=key)
        return str((await self._ask(sending, RoomSendResponse)).event_id)

    def _sync(self, since: str) -> Any:
        wait = WAIT if self.listening.is_set() else 0
        return self._client.sync(timeout=wait, since=since or None, sync_filter=FILTER)

    async def _in_room(self, room: str, info: RoomInfo, since: str) -> AsyncIterator[Incoming]:
        """Yield what was said to the bot in a room; one from which it was removed meanwhile is no reason to end."""
        try:
            async for said in self._said(room, info, since):
                yield said
        except ChatError as error:
            if not error.lasting:
                raise
            log.warning("a room cannot be read", room=room, error=error.message)

    async def _said(self, room: str, info: RoomInfo, since: str) -> AsyncIterator[Incoming]:
        """Yield what was said to the bot in a room, the oldest first, each once."""
        timeline = info.timeline
        events = [*(await self._missed(room, timeline.prev_batch, since) if timeline.limited else ()), *timeline.events]
        if any(each.source["type"] != "m.room.message" for each in (*info.state, *events)):
            self._rooms.pop(room, None)
        for event in events:
            identity = event.source.get("event_id", "")
            if identity in self._seen or event.source.get("sender") == self._client.user_id:
                continue
            heard = await self._heard(room, event.source)
            if heard is not None:
                yield heard
                self._seen[identity] = ""

    async def _missed(self, room: str, until: str, since: str) -> Sequence[Any]:
        """Return what the server left out between two places of its time line, because it was much."""
        found: list[Any] = []
        for _ in range(PAGES):
            asking = self._client.room_messages(
                room, start=until, end=since, limit=PAGE, message_filter={"types": TYPES}
            )
            page = await self._ask(asking, RoomMessagesResponse)
            found += page.chunk
            if not page.chunk or not page.end:
                break
            until = page.end
        else:
            log.warning("more was said than is read", room=room, messages=len(found))
        return found[::-1]

    async def _heard(self, room: str, event: Mapping[str, Any]) -> Incoming | None:
        """Return what an event says to the bot; None: nothing."""
        if event["type"] == "m.room.encrypted":
            await self._cannot_read(room)
            return None
        content = event.get("content")
        # m.notice: what bots say. m.replace: somebody mends what they said; what it made the bot do is done.
        if event["type"] != "m.room.message" or not isinstance(content, Mapping) or content.get("msgtype") != "m.text":
            return None
        relation, text, sender = _mapping(content, "m.relates_to"), content.get("body"), str(event["sender"])
        if OURS in content or relation.get("rel_type") == "m.replace" or not isinstance(text, str):
            return None
        facts = await self._room(room)
        if "m.in_reply_to" in relation:
            text = _without_quote(text)
        called = facts.names.get(self._client.user_id, "")
        meant, text = self._addressed(text, _mapping(content, "m.mentions"), called)
        if not (meant or facts.direct or self._expects(room, sender)):
            return None
        thread = str(relation.get("event_id", "")) if relation.get("rel_type") == "m.thread" else ""
        name = facts.names.get(sender, "")
        return Incoming(event["event_id"], sender, room, text.strip(), facts.direct, thread, clean(name))

    def _addressed(self, text: str, mentions: Mapping[str, Any], called_here: str) -> tuple[bool, str]:
        """Tell whether a text is meant for the bot; return it without the bot's name, also that which it has in the room."""
        user, local = self._client.user_id, self._local()
        begin = text.lstrip()
        for name in sorted({user, f"@{local}", local, called_here or local}, key=len, reverse=True):
            after = begin[len(name) :]
            if begin[: len(name)].casefold() == name.casefold() and (after[:1] in {":", ","} or not after[:1].strip()):
                called = after[:1] in {":", ","} or name.startswith("@") or _called(mentions, user)
                if called:
                    return True, after.lstrip(":, ")
        return _called(mentions, user), text

    def _local(self) -> str:
        return str(self._client.user_id).partition(":")[0].removeprefix("@")

    async def _cannot_read(self, room: str) -> None:
        """Say once in a room that it is encrypted; who wrote there would wait for an answer for ever."""
        key = f"encrypted-{room}"
        if key not in self._sent:
            content = {"msgtype": "m.notice", "body": CANNOT_READ, "m.mentions": {}, OURS: {}}
            try:
                self._sent[key] = await self._put(room, content, key)
            except ChatError as error:
                if not error.lasting:
                    raise
                log.warning("cannot speak in an encrypted room", room=room, error=error.message)

    async def _invited(self, invitations: Mapping[str, InviteInfo]) -> None:
        """Follow the invitations of those who may invite, and decline the others."""
        for room, info in invitations.items():
            by = next((each.sender for each in info.invite_state if _invites(each, self._client.user_id)), "")
            welcome = {by, by.partition(":")[2], room, "*"} & set(self._options.invites)
            answering = self._client.join(room) if welcome else self._client.room_leave(room)
            log.info("invitation followed" if welcome else "invitation declined", room=room, by=by)
            try:
                await self._ask(answering, Response)
            except ChatError as error:
                if not error.lasting:
                    raise
                log.warning("invitation is void", room=room, by=by, error=error.message)

    async def _room(self, room: str) -> Room:
        if room not in self._rooms:
            answer = await self._ask(self._client.room_get_state(room), RoomGetStateResponse)
            names: dict[str, str] = {}
            contents: dict[str, Mapping[str, Any]] = {}
            for event in answer.events:
                content = _mapping(event, "content")
                contents[event["type"]] = content
                if event["type"] == "m.room.member" and content.get("membership") in {"join", "invite"}:
                    names[event["state_key"]] = str(content.get("displayname") or "")
            readable = contents.get("m.room.history_visibility", {}).get("history_visibility") == "world_readable"
            entered = contents.get("m.room.join_rules", {}).get("join_rule") == "public"
            self._rooms[room] = Room(names, readable or entered, "m.room.encryption" in contents)
        return self._rooms[room]

    async def _ask(self, asking: Awaitable[Any], kind: type[R]) -> R:
        """Return the answer to a request, as somebody who is signed in. Raises ChatError."""
        try:
            await self._sign_in()
        except BaseException:
            if asyncio.iscoroutine(asking):
                asking.close()
            raise
        try:
            return await _answered(asking, kind)
        except ChatError as error:
            if "M_UNKNOWN_TOKEN" not in error.message or not self._options.password:
                raise
            self._place["token"], self._signed_in = "", False
            raise ChatError("the homeserver ended the session; signing in again", lasting=False) from error

    async def _sign_in(self) -> None:
        """Find out who the token belongs to, or get one with the password; the same device as last time."""
        async with self._signing_in:
            if self._signed_in:
                return
            client = self._client
            client.access_token = self._options.token or self._place.get("token", "")
            if client.access_token:
                try:
                    who = await _answered(client.whoami(), WhoamiResponse)
                    client.user_id, self._signed_in = who.user_id, True
                except ChatError as error:
                    if self._options.token or not error.lasting:
                        raise
            if not self._signed_in:
                client.access_token, client.device_id = "", self._place.get("device", "") or None
                login = client.login(self._options.password, device_name="flow-build bot")
                made = await _answered(login, LoginResponse)
                self._place.update({"token": made.access_token, "device": made.device_id})
                self._signed_in = True
            self.called = str(client.user_id)
            log.info("signed in to matrix", homeserver=self._options.homeserver, user=client.user_id)


async def _answered(asking: Awaitable[Any], kind: type[R]) -> R:
    try:
        answer = await asking
    except (ClientError, TimeoutError, OSError) as error:
        raise ChatError(f"the homeserver cannot be reached: {error or type(error).__name__}", lasting=False) from error
    if isinstance(answer, ErrorResponse):
        raise _refusal(answer)
    if not isinstance(answer, kind):
        raise ChatError(f"the homeserver does not answer as one does: {type(answer).__name__}", lasting=False)
    return answer


def _refusal(answer: ErrorResponse) -> ChatError:
    status = getattr(answer.transport_response, "status", 0)
    passing = answer.status_code in PASSING or status >= 500 or status in {0, 429}
    hint = "is its access token right, and still good?" if answer.status_code == "M_UNKNOWN_TOKEN" else ""
    words = f"{answer.status_code or status}: {clean(answer.message)[:200]}"
    seconds = (answer.retry_after_ms or 0) / 1000
    return ChatError(f"the homeserver refused, {words}", lasting=not passing, again_after=seconds, hint=hint)


def _mapping(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = content.get(name)
    return value if isinstance(value, Mapping) else {}


def _called(mentions: Mapping[str, Any], user: str) -> bool:
    called = mentions.get("user_ids")
    return isinstance(called, list) and user in called


def _invites(event: Any, user: str) -> bool:
    return getattr(event, "membership", "") == "invite" and getattr(event, "state_key", "") == user


def _without_quote(text: str) -> str:
    """Return a reply without what it answers to, which older clients repeat before it."""
    lines = text.split("\n")
    count = next((at for at, each in enumerate(lines) if not each.startswith(">")), len(lines))
    return "\n".join(lines[count:]).lstrip("\n") if count else text
