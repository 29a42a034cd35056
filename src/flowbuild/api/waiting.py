"""Requests that wait for something to do: for as long as somebody waits for the answer, and the server goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from fastapi import Request

from flowbuild.api.backend import Backend
from flowbuild.core.errors import ServerUnreachable

T = TypeVar("T")


async def while_there(work: Coroutine[Any, Any, T], request: Request, backend: Backend) -> T:
    """Do work for as long as somebody waits for it. Raises ServerUnreachable when the server stops."""
    working = asyncio.create_task(work)
    others = [asyncio.create_task(_hung_up(request)), asyncio.create_task(backend.stop.wait())]
    try:
        await asyncio.wait({working, *others}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ServerUnreachable("the server stops, or whoever asked has hung up", hint="ask again")
    finally:
        for task in (working, *others):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(working, *others, return_exceptions=True)


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
