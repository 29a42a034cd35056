"""Streams end with what they tell of, with the server, and after a while, when rights are to be checked anew."""

import asyncio

from flowbuild.api.streams import End, until_stopped


async def numbers(then):
    yield 1
    await then.wait()


async def collected(then, stop, **options):
    return [item async for item in until_stopped(numbers(then), stop, **options)]


async def test_the_end_is_told_only_when_nothing_more_comes():
    never, now = asyncio.Event(), asyncio.Event()
    now.set()
    assert await collected(now, never) == [1, End.END]
    assert await collected(never, never, lifetime=0.05) == [1]
    reading = asyncio.create_task(collected(never, stop := asyncio.Event()))
    await asyncio.sleep(0)
    stop.set()
    assert await reading in ([], [1])
