"""Slack for tests: the Web API and Socket Mode as their documentation says, on the loopback.

https://docs.slack.dev/apis/web-api, https://docs.slack.dev/apis/events-api/using-socket-mode. Messages are kept, events of them go
to the bot until it acknowledges them; what is refused there is refused here.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

TEAM, BOT, APP_TOKEN, BOT_TOKEN = "T0TEST", "U0BOT", "xapp-test", "xoxb-test"
PEOPLE = {"U0ANN": "ann", "U0BOB": "bob"}
BUSY = 5  # things that may be said at once, when there is a limit
RETRY_AFTER = 2
MOST = 50  # messages of a page, whatever is asked for


class Refused(Exception):
    """An answer with `ok: false`."""


@dataclass(slots=True)
class Channel:
    """A conversation of which the bot is a member."""

    id: str
    kind: str  # channel, im
    messages: list[dict[str, Any]] = field(default_factory=list)


class Slack:
    """A workspace. `start` and `stop` as often as one likes; what was said stays."""

    def __init__(self) -> None:
        self.channels = {each.id: each for each in (Channel("C0TEAM", "channel"), Channel("D0ANN", "im"))}
        self.calls: list[tuple[str, Mapping[str, Any]]] = []
        self.left: int | None = None  # things that may still be said; None: no limit
        self.fail_next = ""  # the next thing said: "after": is said, and the connection breaks before the answer
        self._port, self._clock = 0, 0
        self._runner: web.AppRunner | None = None
        self._sockets: set[web.WebSocketResponse] = set()
        self._pending: dict[str, dict[str, Any]] = {}  # envelopes that were not acknowledged
        self._tickets: set[str] = set()
        self.acknowledged = asyncio.Event()

    @property
    def api(self) -> str:
        """The address of the Web API."""
        return f"http://127.0.0.1:{self._port}/api/"

    async def start(self) -> None:
        """Begin to answer, at the same address as before."""
        app = web.Application()
        app.add_routes(
            [web.post("/api/{method}", self._api), web.get("/api/{method}", self._api), web.get("/link", self._link)]
        )
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """End all connections, and answer no more."""
        for each in list(self._sockets):
            await each.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def say(self, room: str, user: str, text: str, **more: Any) -> str:
        """Let somebody say something; return its time stamp."""
        message = self._keep(room, {"type": "message", "user": user, "text": text, **more})
        event = {**message, "channel": room, "channel_type": self.channels[room].kind}
        await self.emit("events_api", {"type": "event_callback", "event": event})
        if f"<@{BOT}>" in text and self.channels[room].kind == "channel" and "bot_id" not in more:
            mention = {key: value for key, value in event.items() if key != "channel_type"} | {"type": "app_mention"}
            await self.emit("events_api", {"type": "event_callback", "event": mention})
        return str(message["ts"])

    async def press(self, room: str, user: str, ts: str, label: str) -> None:
        """Let somebody press a button."""
        message = self._message(room, ts)
        actions = [each for block in message["blocks"] if block["type"] == "actions" for each in block["elements"]]
        button = next(each for each in actions if each["text"]["text"] == label)
        action = {
            "type": "button",
            "action_id": button["action_id"],
            "value": button["value"],
            "action_ts": self._now(),
        }
        who = {"id": user, "username": PEOPLE[user], "name": PEOPLE[user]}
        body = {"type": "block_actions", "user": who, "channel": {"id": room}, "message": message, "actions": [action]}
        await self.emit("interactive", body)

    async def disconnect(self) -> None:
        """End the connections as Slack does it every few hours."""
        for each in list(self._sockets):
            await each.send_json({"type": "disconnect", "reason": "refresh_requested"})

    def _now(self) -> str:
        self._clock = max(self._clock + 1, time.time_ns() // 1000)
        return f"{self._clock // 1_000_000}.{self._clock % 1_000_000:06}"

    def _keep(self, room: str, message: dict[str, Any]) -> dict[str, Any]:
        message = {**message, "ts": self._now()}
        root = message.get("thread_ts")
        if root:
            self._message(room, root)["latest_reply"] = message["ts"]
        self.channels[room].messages.append(message)
        return message

    def _message(self, room: str, ts: str) -> dict[str, Any]:
        found = next((each for each in self._channel(room).messages if each["ts"] == ts), None)
        if found is None:
            raise Refused("message_not_found")
        return found

    def _channel(self, room: str) -> Channel:
        if room not in self.channels:
            raise Refused("channel_not_found")
        return self.channels[room]

    async def all_acknowledged(self) -> None:
        """Come back when no envelope is left that was not acknowledged."""
        while self._pending:
            self.acknowledged.clear()
            await self.acknowledged.wait()

    async def emit(self, kind: str, payload: dict[str, Any]) -> None:
        """Send the bot an envelope."""
        envelope: dict[str, Any] = {
            "envelope_id": secrets.token_hex(8),
            "type": kind,
            "payload": payload,
            "accepts_response_payload": kind != "events_api",
        }
        if kind == "interactive" or self._sockets:  # events for nobody are not kept for long
            self._pending[envelope["envelope_id"]] = envelope
        for each in list(self._sockets)[:1]:
            await each.send_json(envelope)

    async def _link(self, request: web.Request) -> web.WebSocketResponse:
        if request.query.get("ticket") not in self._tickets:
            raise web.HTTPForbidden
        self._tickets.discard(request.query["ticket"])
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A0"}})
        for envelope in list(self._pending.values()):
            await socket.send_json({**envelope, "retry_attempt": 1, "retry_reason": "timeout"})
        self._sockets.add(socket)
        try:
            async for frame in socket:
                if frame.type == WSMsgType.TEXT:
                    self._pending.pop(json.loads(frame.data)["envelope_id"], None)
                    self.acknowledged.set()
        finally:
            self._sockets.discard(socket)
        return socket

    async def _api(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        if request.content_type == "application/json":
            arguments: dict[str, Any] = await request.json()
        else:
            arguments = {**request.query, **(await request.post())}
        self.calls.append((method, arguments))
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token != (APP_TOKEN if method == "apps.connections.open" else BOT_TOKEN):
            return web.json_response({"ok": False, "error": "invalid_auth"})
        if method in {"chat.postMessage", "chat.update"} and self.left is not None:
            if self.left == 0:
                headers = {"Retry-After": str(RETRY_AFTER)}
                return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=headers)
            self.left -= 1
        try:
            answer = getattr(self, "_" + method.replace(".", "_"))(arguments)
        except Refused as error:
            return web.json_response({"ok": False, "error": str(error)})
        if method == "chat.postMessage" and self.fail_next:
            self.fail_next = ""
            assert request.transport is not None  # noqa: S101 (the connection is there)
            request.transport.close()
        return web.json_response({"ok": True, **answer})

    def _auth_test(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"user_id": BOT, "user": "flow", "team": "Test", "team_id": TEAM, "bot_id": "B0BOT"}

    def _apps_connections_open(self, _: Mapping[str, Any]) -> dict[str, Any]:
        ticket = secrets.token_hex(8)
        self._tickets.add(ticket)
        return {"url": f"ws://127.0.0.1:{self._port}/link?ticket={ticket}"}

    def _chat_postMessage(self, arguments: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802 (Slack's name)
        room = self._channel(arguments["channel"]).id
        check(arguments)
        kept = {name: arguments[name] for name in ("text", "blocks", "metadata", "thread_ts") if name in arguments}
        if "thread_ts" in kept:
            self._message(room, kept["thread_ts"])
        message = self._keep(room, {"type": "message", "user": BOT, "bot_id": "B0BOT", **kept})
        return {"channel": room, "ts": message["ts"], "message": message}

    def _chat_update(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        message = self._message(arguments["channel"], arguments["ts"])
        if message["user"] != BOT:
            raise Refused("cant_update_message")
        check(arguments)
        message.update(
            {"text": arguments["text"], "blocks": arguments["blocks"], "edited": {"user": BOT, "ts": self._now()}}
        )
        return {"channel": arguments["channel"], "ts": message["ts"], "text": message["text"]}

    def _conversations_open(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if arguments["users"] not in PEOPLE:
            raise Refused("user_not_found")
        room = "D0ANN" if arguments["users"] == "U0ANN" else f"D{arguments['users'][1:]}"
        self.channels.setdefault(room, Channel(room, "im"))
        return {"channel": {"id": room}}

    def _users_conversations(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        names = {"channel": "public_channel", "im": "im"}
        kinds = arguments["types"].split(",")
        return {"channels": [{"id": each.id} for each in self.channels.values() if names[each.kind] in kinds]}

    def _users_info(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {"user": {"id": arguments["user"], "name": PEOPLE[arguments["user"]], "profile": {"display_name": ""}}}

    def _conversations_history(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        messages = self._channel(arguments["channel"]).messages
        return _page([each for each in messages if "thread_ts" not in each][::-1], arguments)

    def _conversations_replies(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        root, messages = arguments["ts"], self._channel(arguments["channel"]).messages
        self._message(arguments["channel"], root)
        return _page([each for each in messages if root in {each["ts"], each.get("thread_ts")}], arguments)


def check(arguments: Mapping[str, Any]) -> None:
    """Raise Refused for what Slack does not take."""
    if len(arguments.get("text", "")) > 40_000:
        raise Refused("msg_too_long")
    blocks = arguments.get("blocks", [])
    if len(blocks) > 50 or not (blocks or arguments.get("text")):
        raise Refused("invalid_blocks" if blocks else "no_text")
    if sum(map(_check_block, blocks)) > 13_000:
        raise Refused("msg_blocks_too_long")


def _check_block(block: Mapping[str, Any]) -> int:
    """Return the length of a block, or of a part of one, without its buttons."""
    kind = block["type"]
    if kind == "actions":
        for each in block["elements"]:
            if not 0 < len(each["text"]["text"]) <= 75 or len(each["value"]) > 2000 or len(each["action_id"]) > 255:
                raise Refused("invalid_blocks")
        if not 0 < len(block["elements"]) <= 25 or len({each["action_id"] for each in block["elements"]}) != len(
            block["elements"]
        ):
            raise Refused("invalid_blocks")
        return 0
    allowed = {"rich_text", "rich_text_section", "rich_text_preformatted", "rich_text_list", "text", "link", "user"}
    empty = kind in {"text", "link"} and not block.get("text")
    childless = kind.startswith("rich_text") and not block.get("elements")
    if kind not in allowed or empty or childless:
        raise Refused("invalid_blocks")
    return len(block.get("text", "")) + sum(map(_check_block, block.get("elements", ())))


def _page(messages: list[dict[str, Any]], arguments: Mapping[str, Any]) -> dict[str, Any]:
    oldest, limit, begin = (
        float(arguments.get("oldest", 0)),
        min(int(arguments["limit"]), MOST),
        int(arguments.get("cursor") or 0),
    )
    wanted = [each for each in messages if float(each["ts"]) > oldest]
    more = {"next_cursor": str(begin + limit)} if begin + limit < len(wanted) else {"next_cursor": ""}
    shown = wanted[begin : begin + limit]
    if arguments.get("include_all_metadata") not in {True, "1", "true", "True"}:
        shown = [{key: value for key, value in each.items() if key != "metadata"} for each in shown]
    return {"messages": shown, "has_more": bool(more["next_cursor"]), "response_metadata": more}
