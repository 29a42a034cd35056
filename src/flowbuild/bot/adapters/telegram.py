"""Telegram, by its Bot API (python-telegram-bot) and long polling, so that the bot needs no address on the internet.

Telegram knows no keys of messages and shows bots no history. So a message whose answer was not heard is said again: it may appear
twice, when the connection broke after Telegram had taken it; lost it is not.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

os.environ.setdefault("PTB_TIMEDELTA", "true")  # without, the library warns of its own errors

from telegram import (
    Bot,
    CallbackQuery,
    Chat,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    LinkPreviewOptions,
    ReplyParameters,
    Update,
    User,
)
from telegram import Message as Said
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    RetryAfter,
    TelegramError,
)
from telegram.request import HTTPXRequest

from flowbuild.bot.adapters.base import Incoming
from flowbuild.bot.adapters.fitting import clean
from flowbuild.bot.adapters.pauses import Pauses
from flowbuild.bot.adapters.telegram_html import html_of
from flowbuild.bot.memory import Memory
from flowbuild.bot.messages import Button, Message
from flowbuild.core.errors import ChatError

log = structlog.get_logger()
T = TypeVar("T")
API = "https://api.telegram.org"
WAIT = 30  # seconds that Telegram keeps a question for news
PATIENCE = 20.0  # seconds that an answer may take, besides
KINDS = ["message", "callback_query"]
DATA, LABEL, BUTTONS = 64, 64, 20  # bytes of a button's data; characters of its label; buttons of a message


@dataclass(frozen=True, slots=True)
class TelegramOptions:
    """The token that @BotFather gave."""

    token: str = field(repr=False)
    api: str = API


class TelegramAdapter:
    """See Adapter. Rooms are chats; `chat/topic` in groups with topics.

    `expects`: whether somebody was asked something in a room and may answer without naming the bot.
    """

    network = "telegram"

    def __init__(
        self,
        options: TelegramOptions,
        memory: Memory,
        *,
        expects: Callable[[str, str], bool] = lambda _room, _sender: False,
    ) -> None:
        self._options, self._expects = options, expects
        self.listening = asyncio.Event()
        self._place, self._seen = memory.table("telegram"), memory.table("seen")
        self._sent, self._moved = memory.table("sent"), memory.table("moved")
        self._commands, self._names = memory.table("commands"), memory.table("names")
        self._bot = Bot(
            options.token,
            base_url=f"{options.api}/bot",
            request=HTTPXRequest(connection_pool_size=8, connect_timeout=PATIENCE, read_timeout=PATIENCE),
            get_updates_request=HTTPXRequest(connect_timeout=PATIENCE, read_timeout=PATIENCE),
        )
        self._signing_in = asyncio.Lock()
        self._me: User | None = None
        self.called = ""

    async def incoming(self) -> AsyncIterator[Incoming]:
        """See Adapter. Telegram keeps what is said for a day; what was said before the first start is not answered."""
        pauses = Pauses()
        while True:
            try:
                updates = await self._updates()
            except ChatError as error:
                if error.lasting:
                    raise
                pause = pauses.next(error.again_after)
                log.warning("telegram is away", error=error.message, again_in=round(pause, 1))
                await asyncio.sleep(pause)
                continue
            pauses.reset()
            for update in updates:
                said = await self._heard(update)
                if said is not None and said.id not in self._seen:
                    yield said
                    self._seen[said.id] = ""
                self._place["offset"] = str(update.update_id + 1)

    async def send(self, room: str, message: Message, *, key: str, thread: str = "") -> str:
        """See Adapter; see also above."""
        if key not in self._sent:
            answered = ReplyParameters(_number(thread), allow_sending_without_reply=True) if thread else None
            made: Said = await self._in(
                room, self._bot.send_message, **self._content(message), reply_parameters=answered
            )
            self._sent[key] = str(made.message_id)
        return self._sent[key]

    async def edit(self, room: str, remote: str, message: Message, *, key: str) -> None:
        """See Adapter."""
        if key in self._sent:
            return
        try:
            await self._in(room, self._bot.edit_message_text, message_id=int(remote), **self._content(message))
        except ChatError as error:
            if "not modified" not in error.message:  # else it is so already
                raise
        self._sent[key] = remote

    async def direct_room(self, sender: str) -> str:
        """See Adapter. Only who once wrote to the bot can be told something there."""
        return sender

    async def close(self) -> None:
        """See Adapter."""
        await self._bot.shutdown()

    def _content(self, message: Message) -> dict[str, Any]:
        rows = [
            [InlineKeyboardButton(clean(each.label)[:LABEL] or "?", callback_data=self._data(each))]
            for each in message.buttons
        ]
        return {
            "text": html_of(message, self._names),
            "parse_mode": "HTML",
            "link_preview_options": LinkPreviewOptions(is_disabled=True),
            "reply_markup": InlineKeyboardMarkup(rows[:BUTTONS]) if rows else None,
        }

    def _data(self, button: Button) -> str:
        """Return what a button holds: its command, or a short name of one that is too long."""
        if len(button.command.encode()) <= DATA:
            return button.command
        name = "#" + hashlib.sha256(button.command.encode()).hexdigest()[:32]
        self._commands[name] = button.command
        return name

    async def _in(self, room: str, call: Callable[..., Awaitable[T]], **arguments: Any) -> T:
        """Call the Bot API about a room; groups may have got another number meanwhile."""
        chat, _, topic = self._moved.get(room, room).partition("/")
        if topic and call == self._bot.send_message:
            arguments["message_thread_id"] = int(topic)
        try:
            return await self._call(lambda: call(chat_id=chat, **arguments))
        except ChatError as error:
            if not isinstance(error.__cause__, ChatMigrated):
                raise
            self._moved[room] = str(error.__cause__.new_chat_id)
        return await self._call(lambda: call(chat_id=self._moved[room], **arguments))

    async def _updates(self) -> Sequence[Update]:
        if "offset" not in self._place:
            old = await self._call(lambda: self._bot.get_updates(offset=-1, timeout=0, allowed_updates=KINDS))
            self._place["offset"] = str(old[-1].update_id + 1 if old else 0)
        offset = int(self._place["offset"])
        self.listening.set()
        return await self._call(lambda: self._bot.get_updates(offset=offset, timeout=WAIT, allowed_updates=KINDS))

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return the answer to a call. Raises ChatError, which never names the token."""
        try:
            async with self._signing_in:
                if self._me is None:
                    await self._bot.initialize()
                    self._me = self._bot.bot
                    self.called = f"@{self._me.username}"
                    log.info("signed in to telegram", user=self._me.username)
            return await call()
        except TelegramError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: TelegramError) -> ChatError:
        words = clean(str(error)).replace(self._options.token, "…")[:200]
        if isinstance(error, RetryAfter):
            return ChatError(
                f"Telegram asks for patience: {words}", lasting=False, again_after=_seconds(error.retry_after)
            )
        hint = "is the token right, and still good?" if isinstance(error, InvalidToken) else ""
        webhook = isinstance(error, Conflict) and "webhook" in words.lower()
        if webhook:
            hint = "the bot has a webhook: remove it with the method deleteWebhook of the Bot API"
        lasting = webhook or isinstance(error, BadRequest | Forbidden | InvalidToken | ChatMigrated)
        return ChatError(f"Telegram: {words}", lasting=lasting, hint=hint)

    async def _heard(self, update: Update) -> Incoming | None:
        """Return what an update says to the bot; None: nothing."""
        if update.callback_query is not None:
            return await self._pressed(update.callback_query)
        said = update.message
        if said is None or said.text is None or said.from_user is None or said.from_user.is_bot:
            return None
        room, sender = _room(said), said.from_user
        direct = said.chat.type == Chat.PRIVATE
        answered = said.reply_to_message if not _opens_topic(said) else None
        meant, text = self._addressed(said.text)
        to_us = answered is not None and answered.from_user is not None and answered.from_user == self._me
        if not (direct or meant or to_us or self._expects(room, str(sender.id))):
            return None
        thread = f"{room}/{answered.message_id}" if answered is not None else ""
        return Incoming(f"{room}/{said.message_id}", str(sender.id), room, text, direct, thread, self._name(sender))

    async def _pressed(self, query: CallbackQuery) -> Incoming | None:
        with suppress(ChatError):  # it stops a clock that turns on the button; too late for it is no harm
            await self._call(lambda: self._bot.answer_callback_query(query.id))
        if query.message is None or not query.data:
            return None
        said, chat = query.message, query.message.chat
        room = _room(said) if isinstance(said, Said) else str(chat.id)
        text = self._commands.get(query.data, query.data)
        thread, direct = f"{room}/{said.message_id}", chat.type == Chat.PRIVATE
        return Incoming(
            f"press/{query.id}", str(query.from_user.id), room, text, direct, thread, self._name(query.from_user)
        )

    def _addressed(self, text: str) -> tuple[bool, str]:
        """Tell whether a text is meant for the bot; return it without its name and the slash of a command."""
        assert self._me is not None  # noqa: S101 (who got an update is signed in)
        own, meant = f"@{self._me.username}".lower(), False
        first, _, rest = text.strip().partition(" ")
        if first.startswith("/"):
            command, _, whose = first[1:].partition("@")
            if whose and f"@{whose.lower()}" != own:
                return False, text
            meant = True
            command = {"start": "help", "flow": ""}.get(command, command)
            text = f"{command} {rest}"
        words = text.split(" ")
        kept = [each for each in words if each.rstrip(":,").lower() != own]
        return meant or len(kept) < len(words), " ".join(kept).strip()

    def _name(self, user: User) -> str:
        name = clean(user.full_name)
        self._names[str(user.id)] = name
        return name


def _room(said: Said) -> str:
    return f"{said.chat.id}/{said.message_thread_id}" if said.is_topic_message else str(said.chat.id)


def _opens_topic(said: Said) -> bool:
    """Tell whether what a message answers to is only the beginning of its topic."""
    answered = said.reply_to_message
    return bool(said.is_topic_message and answered is not None and answered.message_id == said.message_thread_id)


def _number(identity: str) -> int:
    return int(identity.rpartition("/")[2])


def _seconds(value: Any) -> float:
    return float(value.total_seconds() if hasattr(value, "total_seconds") else value)
