"""Telegram for tests: the Bot API as https://core.telegram.org/bots/api says, on the loopback.

Texts are parsed as Telegram does it: tags it does not know are refused, lengths count without tags, and what looks like a name, an
address or a command becomes one by itself.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from typing import Any

from aiohttp import web

TOKEN = "123456:test-token-of-the-bot"  # noqa: S105 (of a server that nobody else reaches)
BOT = {"id": 123456, "is_bot": True, "first_name": "Flow", "username": "flow_test_bot"}
ANN = {"id": 1001, "is_bot": False, "first_name": "Ann", "username": "ann_of_test"}
OTHER_BOT = {"id": 77, "is_bot": True, "first_name": "Other", "username": "other_bot"}
GROUP, PRIVATE, STRANGER = -500, 1001, 1002
RETRY_AFTER = 3
TAGS = {"b", "strong", "i", "em", "u", "s", "code", "pre", "a", "tg-spoiler", "blockquote"}
_TOKENS = re.compile(r"<(/?)([A-Za-z-]*)([^<>]*)>|([^<]+)|(<)", re.DOTALL)
_FOUND = {  # by itself, outside of code and links
    "mention": r"(?<![\w@/.])@\w{4,}",
    "url": r"\w+://[^\s<>]+|(?<![\w.@])[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}\b",
    "bot_command": r"(?<![\w/<>])/\w+",
    "hashtag": r"(?<!\w)#\w+",
    "cashtag": r"(?<!\w)\$[A-Z]{1,8}\b",
}


class Refused(Exception):
    """An answer with `ok: false`."""

    def __init__(self, code: int, description: str, **parameters: Any) -> None:
        super().__init__(description)
        self.code, self.description, self.parameters = code, description, parameters


@dataclass(slots=True)
class Sent:
    """A message of the bot: what is left of its text without tags, and what parts of it are."""

    id: int
    chat: int
    text: str
    entities: list[tuple[str, str, str]]  # kind, the text, where it leads
    reply: int = 0
    edited: bool = False
    buttons: list[dict[str, str]] = field(default_factory=list)
    raw: tuple[str, str] = ("", "")


class Telegram:
    """A bot of Telegram and who speaks to it. `start` and `stop` as often as one likes."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.left: int | None = None
        self.moved: dict[int, int] = {}
        self.webhook = False
        self.answered: list[str] = []
        self.fail_next = False  # the next thing is said, and the connection breaks before the answer
        self._updates: list[dict[str, Any]] = []
        self._number, self._port = 100, 0
        self._new = asyncio.Condition()
        self._polls = 0
        self._runner: web.AppRunner | None = None

    @property
    def api(self) -> str:
        """The address of the Bot API."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Begin to answer, at the same address as before."""
        app = web.Application()
        app.add_routes([web.post("/bot{token}/{method}", self._api)])
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """End all connections, and answer no more."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def say(self, chat: int, text: str, *, user: Mapping[str, Any] = ANN, reply: int = 0, **more: Any) -> int:
        """Let somebody say something; return its number."""
        message = {**self._message(chat, self._next(), user), "text": text, **more}
        if reply:
            whose = BOT if any(each.id == reply for each in self.sent) else ANN
            message["reply_to_message"] = {**self._message(chat, reply, whose), "text": "…"}
        await self._emit({"message": message})
        return int(message["message_id"])

    async def press(self, chat: int, number: int, label: str) -> None:
        """Let Ann press a button."""
        data = next(each["callback_data"] for each in self._found(chat, number).buttons if each["text"] == label)
        query = {
            "id": str(self._next()),
            "from": ANN,
            "chat_instance": "1",
            "data": data,
            "message": self._message(chat, number, BOT),
        }
        await self._emit({"callback_query": query})

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _message(self, chat: int, number: int, user: Mapping[str, Any]) -> dict[str, Any]:
        kind = {"type": "private", "first_name": "Ann"} if chat > 0 else {"type": "supergroup", "title": "Team"}
        return {"message_id": number, "date": int(time.time()), "chat": {"id": chat, **kind}, "from": user}

    async def _emit(self, update: dict[str, Any]) -> None:
        async with self._new:
            self._updates.append({"update_id": self._next(), **update})
            self._new.notify_all()

    def _found(self, chat: int, number: int) -> Sent:
        found = next((each for each in self.sent if (each.chat, each.id) == (chat, number)), None)
        if found is None:
            raise Refused(400, "Bad Request: message to edit not found")
        return found

    async def _api(self, request: web.Request) -> web.Response:
        method, arguments = request.match_info["method"], dict(await request.post())
        try:
            _let_in(request.match_info["token"])
            result = await getattr(self, f"_{method}")({str(key): str(value) for key, value in arguments.items()})
        except Refused as error:
            body = {"ok": False, "error_code": error.code, "description": error.description}
            parameters = {"parameters": error.parameters} if error.parameters else {}
            return web.json_response({**body, **parameters}, status=error.code)
        if self.fail_next and method == "sendMessage":
            self.fail_next = False
            assert request.transport is not None  # noqa: S101 (the connection is there)
            request.transport.close()
        return web.json_response({"ok": True, "result": result})

    async def _getMe(self, _: Mapping[str, str]) -> Any:  # noqa: N802 (Telegram's name, as below)
        return BOT

    async def _getUpdates(self, arguments: Mapping[str, str]) -> Any:  # noqa: N802
        if self.webhook:
            raise Refused(
                409,
                "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first",
            )
        offset, limit = int(arguments.get("offset", 0)), int(arguments.get("limit", 100))
        self._polls += 1
        poll = self._polls
        async with self._new:
            self._new.notify_all()
            if offset < 0:
                self._updates = self._updates[offset:]
            self._updates = [each for each in self._updates if each["update_id"] >= offset]
            kinds = json.loads(arguments.get("allowed_updates", "[]"))
            try:
                async with asyncio.timeout(float(arguments.get("timeout", 0))):
                    await self._new.wait_for(lambda: self._updates or poll != self._polls)
            except TimeoutError:
                return []
            if poll != self._polls:
                raise Refused(
                    409,
                    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
                )
            wanted = [each for each in self._updates if not kinds or set(each) & set(kinds)]
            return wanted[:limit]

    async def _answerCallbackQuery(self, arguments: Mapping[str, str]) -> Any:  # noqa: N802
        self.answered.append(arguments["callback_query_id"])
        return True

    async def _sendMessage(self, arguments: Mapping[str, str]) -> Any:  # noqa: N802
        chat = self._chat(arguments)
        number = self._next()
        self.sent.append(Sent(number, chat, "", []))
        try:
            self._fill(self.sent[-1], arguments)
        except Refused:
            self.sent.pop()
            raise
        self.sent[-1].reply = json.loads(arguments.get("reply_parameters", "{}")).get("message_id", 0)
        return {**self._message(chat, number, BOT), "text": self.sent[-1].text}

    async def _editMessageText(self, arguments: Mapping[str, str]) -> Any:  # noqa: N802
        chat = self._chat(arguments)
        sent = self._found(chat, int(arguments["message_id"]))
        if sent.raw == (arguments["text"], arguments.get("reply_markup", "")):
            raise Refused(
                400,
                "Bad Request: message is not modified: specified new message content and reply markup are exactly the same",
            )
        self._fill(sent, arguments)
        sent.edited = True
        return {**self._message(chat, sent.id, BOT), "text": sent.text}

    def _chat(self, arguments: Mapping[str, str]) -> int:
        """Return the chat that something is said in, if that may be."""
        if self.left is not None:
            if self.left == 0:
                raise Refused(429, f"Too Many Requests: retry after {RETRY_AFTER}", retry_after=RETRY_AFTER)
            self.left -= 1
        chat = int(arguments["chat_id"])
        if chat in self.moved:
            raise Refused(
                400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=self.moved[chat]
            )
        if chat == STRANGER:
            raise Refused(403, "Forbidden: bot can't initiate conversation with a user")
        if chat not in {GROUP, PRIVATE, *self.moved.values()}:
            raise Refused(400, "Bad Request: chat not found")
        return chat

    def _fill(self, sent: Sent, arguments: Mapping[str, str]) -> None:
        markup = arguments.get("reply_markup", "")
        text, entities = parse(arguments["text"]) if arguments.get("parse_mode") == "HTML" else (arguments["text"], [])
        if not text.strip():
            raise Refused(400, "Bad Request: message text is empty")
        if len(text.encode("utf-16-le")) // 2 > 4096:
            raise Refused(400, "Bad Request: message is too long")
        rows = json.loads(markup)["inline_keyboard"] if markup else []
        buttons = [each for row in rows for each in row]
        if any(not 1 <= len(each["callback_data"].encode()) <= 64 for each in buttons):
            raise Refused(400, "Bad Request: BUTTON_DATA_INVALID")
        sent.text, sent.entities, sent.buttons, sent.raw = text, entities, buttons, (arguments["text"], markup)


def _let_in(token: str) -> None:
    if token != TOKEN:
        raise Refused(401, "Unauthorized")


def parse(html: str) -> tuple[str, list[tuple[str, str, str]]]:
    """Return a text without tags, and its entities: kind, text, where it leads. Raises Refused."""
    text, entities, open_tags = "", [], list[tuple[str, str, int]]()
    for match in _TOKENS.finditer(html):
        end, tag, rest, plain, stray = match.groups()
        if stray or (tag is not None and not plain and tag.lower() not in TAGS):
            raise Refused(
                400,
                f'Bad Request: can\'t parse entities: Unsupported start tag "{tag or ""}" at byte offset {match.start()}',
            )
        if plain:
            kept = unescape(plain)
            if not any(each[0] in {"code", "pre", "a"} for each in open_tags):
                entities += [(kind, hit, hit) for kind, found in _FOUND.items() for hit in re.findall(found, kept)]
            text += kept
        elif not end:
            address = re.fullmatch(r'\s+href="([^"]*)"', rest)
            open_tags.append((tag.lower(), unescape(address[1]) if address else "", len(text)))
        else:
            if not open_tags or open_tags[-1][0] != tag.lower():
                raise Refused(
                    400, f"Bad Request: can't parse entities: Unexpected end tag at byte offset {match.start()}"
                )
            kind, leads, begin = open_tags.pop()
            entities.append((kind, text[begin:], leads))
    if open_tags:
        raise Refused(400, "Bad Request: can't parse entities: Can't find end tag")
    return text, entities
