"""Saying something on a network that may be away for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from flowbuild.bot.adapters.pauses import Pauses
from flowbuild.core.errors import ChatError

T = TypeVar("T")


async def patiently(say: Callable[[], Awaitable[T]]) -> T:
    """Do something on a network as soon as it can be done, however long that takes. Raises a ChatError that is lasting."""
    pauses = Pauses()
    while True:
        try:
            return await say()
        except ChatError as error:
            if error.lasting:
                raise
            await asyncio.sleep(pauses.next(error.again_after))
