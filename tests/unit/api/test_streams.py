"""Streams end with what they tell of, with the server, with the right to them, and after a while."""

import asyncio

from flowbuild.api.streams import End, until_over


async def numbers(then):
    yield 1
    await then.wait()


class Until:
    """A right that ends with an event."""

    def __init__(self, event):
        self.over = event.wait


async def collected(then, stop, right, **options):
    return [item async for item in until_over(numbers(then), stop, Until(right), **options)]


async def test_the_end_is_told_only_when_nothing_more_comes():
    never, now = asyncio.Event(), asyncio.Event()
    now.set()
    assert await collected(now, never, never) == [1, End.END]
    assert await collected(never, never, never, lifetime=0.05) == [1]
    for place in range(2):
        ends = [asyncio.Event(), asyncio.Event()]
        reading = asyncio.create_task(collected(never, *ends))
        await asyncio.sleep(0)
        ends[place].set()
        assert await reading in ([], [1])
