"""Bounds on clients: the bytes that they may send, and the patience with how they send and take. Applied before anything reads the body.

The streams of git have their own bounds; everything else is small.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any

from flowbuild.api.problems import answer

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_MAX = 1 << 20  # bytes
PATIENCE = 30.0  # seconds between two pieces of a body
SLOW = 60.0  # seconds in which a client has to take a piece of an answer
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
]


class Limits:
    """ASGI middleware. `larger` gives the bytes allowed below some beginnings of paths, None for no bound."""

    def __init__(
        self, app: App, *, larger: Mapping[str, int | None], patience: float = PATIENCE, slow: float = SLOW
    ) -> None:
        self._app = app
        self._larger = larger
        self._patience = patience
        self._slow = slow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = next((most for start, most in self._larger.items() if scope["path"].startswith(start)), BODY_MAX)
        exchange = _Exchange(scope, receive, send, limit=limit, patience=self._patience, slow=self._slow)
        await exchange.look_at_length()
        if not exchange.refused:
            with suppress(_TooSlow):  # the answer stays incomplete, which the client sees
                await self._app(scope, exchange.receive, exchange.send)


class _TooSlow(Exception):
    """The client takes nothing of its answer."""


class _Exchange:
    """One request and its answer. Once it is refused the application is told that the client has gone."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, *, limit: int | None, patience: float, slow: float
    ) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._limit, self._patience, self._slow = limit, patience, slow
        self._read = 0
        self._complete = False  # the body is; from then on `receive` waits for the end of the connection
        self._begun = False  # the answer is
        self.refused = False

    async def look_at_length(self) -> None:
        """Refuse what says itself that it is too large."""
        length = dict(self._scope["headers"]).get(b"content-length", b"0")
        if self._limit is not None and (not length.isdigit() or len(length) > 18 or int(length) > self._limit):
            await self._refuse(413, "too_large", f"The body is larger than {self._limit} bytes.")

    async def receive(self) -> Message:
        """Return the next piece of the body."""
        if self.refused:
            return {"type": "http.disconnect"}
        try:
            async with asyncio.timeout(None if self._complete else self._patience):
                message = await self._receive()
        except TimeoutError:
            return await self._refuse(408, "too_slow", "The body did not arrive in time.")
        self._complete = not message.get("more_body", False)
        self._read += len(message.get("body", b""))
        if self._limit is not None and self._read > self._limit:
            return await self._refuse(413, "too_large", f"The body is larger than {self._limit} bytes.")
        return message

    async def send(self, message: Message) -> None:
        """Send a piece of the answer; nothing after a refusal. Raises _TooSlow when the client does not take it."""
        if self.refused:
            return
        if message["type"] == "http.response.start":
            self._begun = True
            message = {**message, "headers": _with_policy(message.get("headers", []))}
        try:
            async with asyncio.timeout(self._slow):
                await self._send(message)
        except TimeoutError as error:
            raise _TooSlow from error

    async def _refuse(self, status: int, code: str, detail: str) -> Message:
        if not self._begun:
            refusal = answer(status, code, detail, headers={"Connection": "close"})  # what else comes is not read
            await refusal(self._scope, self._receive, self.send)
        self.refused = True
        return {"type": "http.disconnect"}


def _with_policy(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Add what makes browsers careful; an answer that has a policy of its own keeps it."""
    given = list(headers)
    names = {name.lower() for name, _ in given}
    return [*given, *((name, value) for name, value in HEADERS if name not in names)]
