"""Streams of events to clients (SSE). They end when the server stops, or uvicorn would wait for them for ever.

And with the right to them: whoever comes again is asked again whether they may.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from enum import Enum
from typing import Protocol, TypeVar

import structlog

from flowbuild.core.errors import FlowError

log = structlog.get_logger()
LIFETIME = 900.0  # seconds: rights also end by the clock, which tells nobody
T = TypeVar("T")


class Right(Protocol):
    """The right to a stream; see `api.staying`."""

    async def over(self) -> None:
        """Return as soon as it ended, or may have."""
        ...


class End(Enum):
    """Comes after the last of something that has an end, and not when the server stops or fails: then one comes again."""

    END = "end"


class Silence(Enum):
    """Comes when nothing came for a while, so that whoever stands in between does not take the stream for dead."""

    SILENCE = "silence"


async def until_over(
    items: AsyncIterator[T], stop: asyncio.Event, right: Right, lifetime: float = LIFETIME
) -> AsyncIterator[T | End]:
    """Yield what comes until `stop` is set or `right` or `lifetime` is over, and End after the last of it."""
    async for item in with_silences(items, stop, right, lifetime, patience=None):
        if not isinstance(item, Silence):
            yield item


async def with_silences(
    items: AsyncIterator[T], stop: asyncio.Event, right: Right, lifetime: float = LIFETIME, *, patience: float | None
) -> AsyncIterator[T | End | Silence]:
    """As `until_over`, with a Silence whenever nothing came for `patience` seconds."""
    over = asyncio.ensure_future(_over(stop, right, lifetime))
    try:
        while True:
            coming = asyncio.ensure_future(anext(items, End.END))
            try:
                both = {coming, over}
                while not (await asyncio.wait(both, timeout=patience, return_when=asyncio.FIRST_COMPLETED))[0]:
                    yield Silence.SILENCE
                if not coming.done():
                    over.result()
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
        over.cancel()


async def _over(stop: asyncio.Event, right: Right, lifetime: float) -> None:
    ends = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(right.over())]
    try:
        done, _ = await asyncio.wait(ends, timeout=lifetime, return_when=asyncio.FIRST_COMPLETED)
        for end in done:
            end.result()
    finally:
        for end in ends:
            end.cancel()
