"""What the server wants people to be told: taken from it, said on the network, and settled.

A dispatch is the server's until it is settled: what cannot be said now comes again. Its id is the key of what is said, so
what was said already is not said again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog
from pydantic import TypeAdapter

from flowbuild.bot.adapters.base import Adapter
from flowbuild.bot.adapters.pauses import Pauses
from flowbuild.bot.messages import Message, Tone, line
from flowbuild.bot.notices import detail_of, digest_of, message_of
from flowbuild.client.base import ServerClient
from flowbuild.core.errors import ChatError, FlowError, Forbidden, InvalidRequest, Unauthenticated, UserError
from flowbuild.core.notifying import FAILURES, News

log = structlog.get_logger()
WAIT, LIMIT = 20, 20  # seconds that the server keeps a question for something to say; how much of it at once
AT_LEAST = 1.0  # seconds between two questions that nothing came of


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to tell, and what the same message told before; see `api.routers.bot_dispatches`."""

    message: str
    remote: str
    news: News
    earlier: Sequence[News]


@dataclass(frozen=True, slots=True)
class Dispatch(Item):
    """Something to say at once, in a room or to a person directly."""

    id: str
    channel: str
    room: str
    sender: str
    mention: str
    test: bool
    digest: Sequence[Item]


_dispatches = TypeAdapter(list[Dispatch])


class Telling:
    """Tells people what the server has for them, for ever; what is for different rooms at the same time."""

    def __init__(self, client: ServerClient, adapter: Adapter) -> None:
        self._client, self._adapter = client, adapter
        self._away = Pauses()

    async def introduce(self, called: str) -> None:
        """Let the server say by what name people find the bot. What it does does not depend on it."""
        try:
            await self._ask("PUT", "bot/called", {"called": called})
        except UserError as error:
            log.warning("the server does not take the name of the bot", error=error.message)

    async def run(self) -> None:
        """Tell until cancelled. Raises Unauthenticated or Forbidden when the server does not know the bot (any more)."""
        loop = asyncio.get_running_loop()
        while True:
            asked = loop.time()
            found = await self._ask("POST", "bot/dispatches/take", {"wait": WAIT, "limit": LIMIT})
            rooms: dict[str, list[Dispatch]] = {}
            for each in _dispatches.validate_python(found or []):
                rooms.setdefault(each.room or each.sender, []).append(each)
            pauses = await asyncio.gather(*map(self._tell, rooms.values()))
            if any(pauses):
                await asyncio.sleep(max(pauses))
            elif rooms:
                self._away.reset()
            elif loop.time() < asked + AT_LEAST:
                await asyncio.sleep(AT_LEAST)  # whoever answered did not wait for something

    async def _tell(self, dispatches: Iterable[Dispatch]) -> float:
        """Tell a room; return the seconds to wait when the network is away: then the rest of it is not tried."""
        again: dict[str, Any] = {}
        for each in dispatches:
            state = again or await self._try(each)
            if state["state"] == "again":
                again = state
            await self._settle(each, state)
        return float(again.get("again_after", 0))

    async def _try(self, dispatch: Dispatch) -> dict[str, Any]:
        """Say something; return what is to be told of it to the server."""
        try:
            remote = await self._say(dispatch)
        except ChatError as error:
            if error.lasting:
                state: dict[str, Any] = {"state": "failed", "error": f"{error.message}. {error.hint}".strip()}
            else:
                state = {"state": "again", "error": error.message, "again_after": self._away.next(error.again_after)}
            log.warning("not told", dispatch=dispatch.id, channel=dispatch.channel, **state)
            return state
        except Exception:  # what is wrong with one must not keep the others from being told
            log.exception("a fault of the bot", dispatch=dispatch.id)
            return {"state": "failed", "error": "a fault of the bot; its log says more"}
        log.info("told", dispatch=dispatch.id, channel=dispatch.channel, run=dispatch.news.run)
        return {"state": "sent", "remote": remote}

    async def _say(self, dispatch: Dispatch) -> str:
        """Say something; return what the network calls the message."""
        room = dispatch.room or await self._adapter.direct_room(dispatch.sender)
        if dispatch.test or dispatch.digest:
            said = _test(dispatch) if dispatch.test else digest_of([each.news for each in dispatch.digest])
            return await self._adapter.send(room, said, key=dispatch.id)
        mention = [dispatch.mention] if dispatch.mention and dispatch.news.kind in FAILURES else []
        detail = detail_of(dispatch.news)
        # Who is mentioned in something that is edited is not called: then the detail calls them.
        main = message_of([*dispatch.earlier, dispatch.news], mention=[] if detail is not None else mention)
        remote = await self._main(room, dispatch, main)
        if detail is not None:
            detail = replace(detail, mention=mention)
            await self._adapter.send(room, detail, key=f"{dispatch.id}-detail", thread=remote)
        return remote

    async def _main(self, room: str, dispatch: Dispatch, message: Message) -> str:
        if dispatch.remote:
            try:
                await self._adapter.edit(room, dispatch.remote, message, key=dispatch.id)
            except ChatError as error:
                if not error.lasting:
                    raise
                log.info("the message is gone; it is said anew", dispatch=dispatch.id, error=error.message)
            else:
                return dispatch.remote
            return await self._adapter.send(room, message, key=f"{dispatch.id}-anew")
        return await self._adapter.send(room, message, key=dispatch.id)

    async def _settle(self, dispatch: Dispatch, state: dict[str, Any]) -> None:
        try:
            await self._ask("POST", f"bot/dispatches/{dispatch.id}", state)
        except UserError as error:
            log.warning("not settled", dispatch=dispatch.id, error=error.message)

    async def _ask(self, method: str, path: str, body: Any) -> Any:
        """Ask the server, also one that is away for a while."""
        pauses = Pauses()
        while True:
            try:
                return await self._client.ask(method, path, body)
            except (Unauthenticated, Forbidden, InvalidRequest):
                raise
            except FlowError as error:
                if isinstance(error, UserError) and path != "bot/dispatches/take":
                    raise
                pause = pauses.next()
                log.warning("the server is away", error=error.message, again_in=round(pause, 1))
                await asyncio.sleep(pause)


def _test(dispatch: Dispatch) -> Message:
    return Message("This is a test", Tone.GOOD, blocks=(line(f"The channel {dispatch.channel} reaches this room."),))
