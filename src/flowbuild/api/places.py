"""Places for answers that take as long as their readers: so many at once, and of them so many for one caller.

Who finds none waits for a while, which costs a connection and no thread, and is then told to come again (429).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from fastapi import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from flowbuild.core.access import Principal
from flowbuild.core.errors import RateLimited

WAIT = 30.0  # seconds


class Places:
    """`most` at once, of them `each` for one caller; who has waited for `wait` seconds is sent away. In one event loop."""

    def __init__(self, most: int, each: int, wait: float = WAIT) -> None:
        self._free = asyncio.Semaphore(most)
        self._own: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._each = each
        self.wait = wait

    @asynccontextmanager
    async def hold(self, who: str) -> AsyncIterator[None]:
        """Have a place; raises RateLimited when none gets free."""
        own = self._own.get(who)
        if own is None:
            own = self._own[who] = asyncio.Semaphore(self._each)
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self.wait):
                    await stack.enter_async_context(own)  # first: who has enough takes no place while waiting
                    await stack.enter_async_context(self._free)
            except TimeoutError as error:
                hint = "wait until one of those that go on has ended"
                raise RateLimited("too many downloads at once", seconds=WAIT, hint=hint) from error
            yield


@dataclass(frozen=True, slots=True)
class Downloads:
    """The places of one server, by what an answer costs: a thread that packs, a piece of a file now and then, a child."""

    archives: Places = field(default_factory=lambda: Places(8, 2))
    files: Places = field(default_factory=lambda: Places(128, 16))
    clones: Places = field(default_factory=lambda: Places(12, 4))


def clones(children: int) -> Places:
    """Return the places of people for clones where git may have so many children: what is left is for attempts."""
    return Places(max(1, children * 3 // 4), max(1, children // 4))


def place_of(places: Places, caller: Principal, address: str) -> AbstractAsyncContextManager[None]:
    """Return a place to be held by who asks. Attempts need none: there are no more of them than leases."""
    if caller.kind in ("attempt", "runner"):
        return nullcontext()
    return places.hold(f"{caller.kind} {caller.id or address}")


class Long(Response):
    """A response that begins when there is a place for it, and gives it back at its end."""

    def __init__(self, place: AbstractAsyncContextManager[None], answer: ASGIApp) -> None:
        super().__init__()
        self._place = place
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer. Raises RateLimited as long as nothing was answered."""
        async with self._place:
            await self._answer(scope, receive, send)
