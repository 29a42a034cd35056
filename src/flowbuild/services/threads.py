"""Blocking work of asynchronous loops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


async def to_the_end(work: Awaitable[T]) -> T:
    """Wait for work in a thread, also when cancelled meanwhile: a thread cannot be stopped, and would outlive us."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do blocking work in a thread, to its end."""
    return await to_the_end(asyncio.to_thread(work, *args, **kwargs))
