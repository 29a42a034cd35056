"""What Slack sends, sorted by Bolt: which of it is said to the bot, and that none of it is the bot's own."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.async_context import AsyncBoltContext
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from flowbuild.bot.adapters.base import Incoming
from flowbuild.bot.adapters.slack_blocks import SAY

_SAID = "said"  # where a listener leaves what it made of an event

Hear = Callable[[Mapping[str, Any]], Awaitable[Incoming | None]]


class SlackEvents:
    """A Bolt app that has no connection of its own: see ADR 0124.

    `who`: the answer to `auth.test` for `token`. `hear` gets events of messages, `press` the payloads of our buttons.
    """

    def __init__(self, token: str, who: Mapping[str, Any], *, hear: Hear, press: Hear) -> None:
        async def authorize() -> AuthorizeResult:
            bot = {"bot_id": who.get("bot_id"), "bot_user_id": who["user_id"], "bot_token": token}
            return AuthorizeResult(enterprise_id=None, team_id=who["team_id"], **bot)

        async def on_event(event: Mapping[str, Any], context: AsyncBoltContext) -> None:
            context[_SAID] = await hear(event)

        async def on_button(body: Mapping[str, Any], context: AsyncBoltContext, ack: AsyncAck) -> None:
            context[_SAID] = await press(body)
            await ack()

        told = logging.getLogger("flowbuild.slack_bolt")
        told.setLevel(logging.ERROR)  # else a warning of each event that nobody wants
        # Listeners come before the acknowledgement, else what they did not take would be lost with the program.
        self._app = AsyncApp(logger=told, name="flow", authorize=authorize, process_before_response=True)
        self._app.event("message")(on_event)
        self._app.event("app_mention")(on_event)
        self._app.action(re.compile(f"^{SAY}"))(on_button)

    async def sort(self, payload: Mapping[str, Any]) -> tuple[Incoming | None, bool]:
        """Return what the payload of an envelope says to the bot (None: nothing), and whether to acknowledge it."""
        request = AsyncBoltRequest(mode="socket_mode", body=dict(payload))
        response = await self._app.async_dispatch(request)
        return request.context.get(_SAID), response.status < 500


def payload_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the payload in which an event comes."""
    return {"type": "event_callback", "event": event}


def acknowledgement(envelope: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what tells Slack that an envelope need not come again."""
    return SocketModeResponse(envelope_id=str(envelope["envelope_id"])).to_dict()
