"""Streams of events to clients (SSE). They end when the server stops, or uvicorn would wait for them for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from enum import Enum
from typing import TypeVar

import structlog

from flowbuild.core.errors import FlowError

log = structlog.get_logger()
LIFETIME = 900.0  # seconds; who comes again is asked again whether they may
T = TypeVar("T")


class End(Enum):
    """Comes after the last of something that has an end, and not when the server stops or fails: then one comes again."""

    END = "end"


class Silence(Enum):
    """Comes when nothing came for a while, so that whoever stands in between does not take the stream for dead."""

    SILENCE = "silence"


async def until_stopped(
    items: AsyncIterator[T], stop: asyncio.Event, lifetime: float = LIFETIME
) -> AsyncIterator[T | End]:
    """Yield what comes until `stop` is set or `lifetime` is over, and End after the last of it."""
    async for item in with_silences(items, stop, lifetime, patience=None):
        if not isinstance(item, Silence):
            yield item


async def with_silences(
    items: AsyncIterator[T], stop: asyncio.Event, lifetime: float = LIFETIME, *, patience: float | None
) -> AsyncIterator[T | End | Silence]:
    """As `until_stopped`, with a Silence whenever nothing came for `patience` seconds."""
    stopping = asyncio.ensure_future(_over(stop, lifetime))
    try:
        while True:
            coming = asyncio.ensure_future(anext(items, End.END))
            try:
                both = {coming, stopping}
                while not (await asyncio.wait(both, timeout=patience, return_when=asyncio.FIRST_COMPLETED))[0]:
                    yield Silence.SILENCE
                if not coming.done():
                    return
                item = coming.result()
            except FlowError as error:  # the answer has begun: there is no other way to tell than to end it
                log.warning("stream_failed", error=error.message)
                return
            finally:
                coming.cancel()
                await asyncio.wait({coming})
            yield item
            if item is End.END:
                return
    finally:
        stopping.cancel()


async def _over(stop: asyncio.Event, lifetime: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(lifetime):
            await stop.wait()
