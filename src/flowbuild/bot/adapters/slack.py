"""Slack: its Web API, and Socket Mode for what is said, so that the bot needs no address on the internet.

Bolt says what an event is to the bot (`slack_events`). The connection is held here and not by the library's client: an envelope
is acknowledged once it was taken, and after every gap the histories are read, so the moments of connecting have to be known.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from flowbuild.bot.adapters.base import Incoming
from flowbuild.bot.adapters.fitting import clean
from flowbuild.bot.adapters.pauses import Pauses
from flowbuild.bot.adapters.slack_blocks import content_of, plain_of, user_of
from flowbuild.bot.adapters.slack_events import SlackEvents, acknowledgement, payload_of
from flowbuild.bot.memory import Memory
from flowbuild.bot.messages import Message
from flowbuild.core.errors import ChatError

log = structlog.get_logger()
API = "https://slack.com/api/"
PASSING = {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
GONE = {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"}
OVERLAP = 300.0  # seconds that are read again after a gap: events of several rooms do not come in one order
SILENCE = 30.0  # seconds after which a connection that says nothing is asked whether it is there
PAGE = 200
MARK = "flow_said"  # of the metadata by which a message is found again


@dataclass(frozen=True, slots=True)
class SlackOptions:
    """The tokens of the app: `token` of its bot (xoxb-), `app_token` for Socket Mode (xapp-)."""

    token: str = field(repr=False)
    app_token: str = field(repr=False)
    api: str = API


class SlackAdapter:
    """See Adapter. `expects`: whether somebody was asked something in a room and may answer without naming the bot."""

    network = "slack"

    def __init__(
        self,
        options: SlackOptions,
        memory: Memory,
        *,
        expects: Callable[[str, str], bool] = lambda _room, _sender: False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._options, self._expects, self._clock = options, expects, clock
        self.listening = asyncio.Event()
        self._place, self._seen = memory.table("slack"), memory.table("seen")
        self._sent, self._begun = memory.table("sent"), memory.table("begun")
        self._direct, self._names = memory.table("direct"), dict[str, str]()
        self._session: aiohttp.ClientSession | None = None
        self.called = self._me = self._team = ""
        self._events: SlackEvents | None = None

    async def incoming(self) -> AsyncIterator[Incoming]:
        """See Adapter."""
        pauses = Pauses()
        while True:
            try:
                async for said in self._connection():
                    pauses.reset()
                    yield said
                pauses.reset()  # it ended as connections to Slack do
            except ChatError as error:
                if error.lasting:
                    raise
                pause = pauses.next(error.again_after)
                log.warning("slack is away", error=error.message, again_in=round(pause, 1))
                await asyncio.sleep(pause)

    async def send(self, room: str, message: Message, *, key: str, thread: str = "") -> str:
        """See Adapter. Slack knows no keys: after an answer that was not heard the message is looked for in the room."""
        if key not in self._sent:
            found = await self._find(room, thread, key) if key in self._begun else ""
            self._sent[key] = found or await self._post(room, message, key, thread)
            self._begun.pop(key, None)
        return self._sent[key]

    async def edit(self, room: str, remote: str, message: Message, *, key: str) -> None:
        """See Adapter. Said twice it looks as once."""
        if key not in self._sent:
            await self._call("chat.update", channel=room, ts=remote, **content_of(message))
            self._sent[key] = remote

    async def direct_room(self, sender: str) -> str:
        """See Adapter."""
        if sender not in self._direct:
            self._direct[sender] = (await self._call("conversations.open", users=user_of(sender)))["channel"]["id"]
        return self._direct[sender]

    async def close(self) -> None:
        """See Adapter."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(self, room: str, message: Message, key: str, thread: str) -> str:
        self._begun[key] = f"{self._clock():.6f}"
        metadata = {"event_type": MARK, "event_payload": {"key": key}}
        more = {"thread_ts": _time_of(thread)} if thread else {}
        try:
            answer = await self._call(
                "chat.postMessage", channel=room, metadata=metadata, **content_of(message), **more
            )
        except ChatError as error:
            if isinstance(error.__cause__, SlackApiError | aiohttp.ClientConnectorError):
                self._begun.pop(key, None)  # it was refused, or never reached Slack
            raise
        return str(answer["ts"])

    async def _find(self, room: str, thread: str, key: str) -> str:
        oldest = f"{float(self._begun[key]) - OVERLAP:.6f}"
        for each in await self._history(room, oldest, thread=_time_of(thread)):
            metadata = each.get("metadata") or {}
            if metadata.get("event_type") == MARK and metadata.get("event_payload", {}).get("key") == key:
                return str(each["ts"])
        return ""

    async def _connection(self) -> AsyncIterator[Incoming]:
        """Connect, and yield what is said until the connection ends; first what was said while there was none."""
        events = await self._signed_in()
        address = (await self._call("apps.connections.open", token=self._options.app_token))["url"]
        begun = self._clock()
        try:
            async with self._http().ws_connect(address, heartbeat=SILENCE) as socket:
                await socket.receive_json()  # hello: from now on events come
                self._place.setdefault("since", f"{begun:.6f}")
                self._place.setdefault("begin", self._place["since"])
                for event in await self._missed():
                    said, _ = await events.sort(payload_of(event))
                    async for each in self._once(said):
                        yield each
                self._place["since"] = f"{begun:.6f}"
                self.listening.set()
                async for frame in socket:
                    envelope = json.loads(frame.data)
                    if envelope.get("type") == "disconnect":
                        return  # as Slack does it every few hours; it wants to be connected to anew
                    if "envelope_id" not in envelope:
                        continue
                    said, taken = await events.sort(envelope.get("payload") or {})
                    async for each in self._once(said):
                        yield each
                    if taken:
                        await socket.send_json(acknowledgement(envelope))
            raise ChatError("Slack ended the connection", lasting=False)
        except (aiohttp.ClientError, TimeoutError, OSError, TypeError, ValueError) as error:
            raise ChatError(f"the connection to Slack broke: {error or type(error).__name__}", lasting=False) from error

    async def _signed_in(self) -> SlackEvents:
        if self._events is None:
            who = await self._call("auth.test")
            self._me, self._team = str(who["user_id"]), str(who["team_id"])
            self._events = SlackEvents(self._options.token, who, hear=self._heard, press=self._pressed)
            self.called = f"@{who.get('user') or self._me}"
            log.info("signed in to slack", team=who.get("team"), user=who.get("user"))
        return self._events

    async def _once(self, said: Incoming | None) -> AsyncIterator[Incoming]:
        """Yield it unless it came before; it counts as taken once the next one is asked for."""
        if said is not None and said.id not in self._seen:
            yield said
            self._seen[said.id] = ""
            self._place["since"] = max(self._place["since"], _time_of(said.id), key=float)

    async def _missed(self) -> Sequence[Mapping[str, Any]]:
        """Return what was said in rooms of the bot since it was last connected, the oldest first, as events."""
        oldest = f"{max(float(self._place['since']) - OVERLAP, float(self._place['begin'])):.6f}"
        found: list[Mapping[str, Any]] = []
        for room in await self._pages(
            "users.conversations", "channels", types="public_channel,private_channel,im,mpim"
        ):
            for each in await self._history(room["id"], oldest):
                found.append({**each, "channel": room["id"]})
                if each.get("latest_reply", "") > oldest:
                    replies = await self._history(room["id"], oldest, thread=each["ts"])
                    found += [{**reply, "channel": room["id"]} for reply in replies if reply["ts"] != each["ts"]]
        return sorted(found, key=lambda each: float(each["ts"]))

    async def _history(self, room: str, oldest: str, *, thread: str = "") -> Sequence[Mapping[str, Any]]:
        method = "conversations.replies" if thread else "conversations.history"
        more = {"ts": thread} if thread else {}
        return await self._pages(method, "messages", channel=room, oldest=oldest, include_all_metadata=True, **more)

    async def _pages(self, method: str, what: str, **options: Any) -> Sequence[Mapping[str, Any]]:
        """Return everything of a list, with the patience that Slack asks for."""
        found: list[Mapping[str, Any]] = []
        cursor = ""
        while True:
            try:
                page = await self._call(method, limit=PAGE, **options, **({"cursor": cursor} if cursor else {}))
            except ChatError as error:
                if error.lasting or not error.again_after:
                    raise
                await asyncio.sleep(error.again_after)
                continue
            found += page[what]
            cursor = (page.get("response_metadata") or {}).get("next_cursor", "")
            if not cursor:
                return found

    async def _heard(self, event: Mapping[str, Any]) -> Incoming | None:
        """Return what an event of a message says to the bot; None: nothing."""
        user, room, text = event.get("user"), event.get("channel"), event.get("text")
        if not (user and room and isinstance(text, str)) or event.get("bot_id"):
            return None
        if event.get("subtype") not in {None, "file_share", "thread_broadcast"}:
            return None
        sender = f"{self._team}:{user}"
        direct, called = str(room).startswith("D"), f"<@{self._me}>" in text
        if not (direct or called or self._expects(room, sender)):
            return None
        identity, thread = f"{room}/{event['ts']}", event.get("thread_ts", "")
        said = plain_of(text.replace(f"<@{self._me}>", " ")).strip().lstrip(":,").lstrip()
        return Incoming(
            identity, sender, room, said, direct, f"{room}/{thread}" if thread else "", await self._name(sender)
        )

    async def _pressed(self, payload: Mapping[str, Any]) -> Incoming | None:
        action: Mapping[str, Any] = next(iter(payload.get("actions") or ()), {})
        room, user = (payload.get("channel") or {}).get("id", ""), payload.get("user") or {}
        if not (room and user.get("id") and action.get("value")):
            return None
        message = payload.get("message") or {}
        thread = message.get("thread_ts") or message.get("ts") or ""
        sender, name = f"{self._team}:{user['id']}", clean(user.get("username") or user.get("name") or "")
        where = f"{room}/{thread}" if thread else ""
        return Incoming(
            f"{room}/{action['action_ts']}", sender, room, action["value"], room.startswith("D"), where, name
        )

    async def _name(self, sender: str) -> str:
        if sender not in self._names:
            try:
                profile = (await self._call("users.info", user=user_of(sender)))["user"]
            except ChatError as error:
                if not error.lasting:
                    return sender
                profile = {}
            self._names[sender] = clean(
                (profile.get("profile") or {}).get("display_name") or profile.get("name") or sender
            )
        return self._names[sender]

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))
        return self._session

    async def _call(self, method: str, *, token: str = "", **arguments: Any) -> Mapping[str, Any]:
        """Call the Web API. Raises ChatError."""
        client = AsyncWebClient(
            token or self._options.token, self._options.api, session=self._http(), retry_handlers=[]
        )
        try:
            answer = (
                await client.api_call(method, json=arguments)
                if method in _JSON
                else await client.api_call(method, params=arguments)
            )
        except SlackApiError as error:
            raise _refusal(method, error) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ChatError(f"Slack cannot be reached: {error or type(error).__name__}", lasting=False) from error
        data = answer.data
        return data if isinstance(data, Mapping) else {}


_JSON = {"chat.postMessage", "chat.update", "conversations.open"}


def _time_of(identity: str) -> str:
    """Return what Slack calls a message within its room."""
    return identity.rpartition("/")[2]


def _refusal(method: str, error: SlackApiError) -> ChatError:
    answer = error.response
    status, data = int(answer.status_code), answer.data if isinstance(answer.data, Mapping) else {}
    reason = str(data.get("error", "")) or f"HTTP {status}"
    passing = reason in PASSING or status == 429 or status >= 500
    hint = "is the token of the app right, and still good?" if reason in GONE else ""
    if reason == "missing_scope":
        hint = f"the app needs the scope {data.get('needed')}; docs/bot-slack.md lists all"
    seconds = float(answer.headers.get("Retry-After") or 0)
    return ChatError(f"Slack refused {method}: {reason}", lasting=not passing, again_after=seconds, hint=hint)
