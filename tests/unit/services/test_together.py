import asyncio
import threading

import pytest

from flowbuild.services.together import MOST, Together

LIMIT = 60


class Gate:
    """Work that waits, in its thread, until it is let through."""

    def __init__(self):
        self.batches, self.begun, self.open = [], asyncio.Event(), threading.Event()
        self._loop = asyncio.get_running_loop()

    def __call__(self, items):
        self.batches.append(list(items))
        self._loop.call_soon_threadsafe(self.begun.set)
        assert self.open.wait(LIMIT)
        return [item * 2 for item in items]


async def come(together, *items):
    """Let somebody bring each of the items; return when they wait."""
    tasks = [asyncio.create_task(together.do(item)) for item in items]
    await asyncio.sleep(0)
    return tasks


async def test_alone():
    together = Together(lambda items: [item * 2 for item in items])
    assert [await together.do(number) for number in range(3)] == [0, 2, 4]


async def test_who_comes_while_work_is_done_shares_the_next_turn():
    gate = Gate()
    together = Together(gate)
    first = await come(together, 100)
    await gate.begun.wait()
    rest = await come(together, *range(MOST + 5))
    gate.open.set()
    assert await asyncio.gather(*first, *rest) == [200, *(2 * number for number in range(MOST + 5))]
    assert [len(batch) for batch in gate.batches] == [1, MOST, 5]


async def test_everybody_gets_their_own_answer():
    together = Together(lambda items: [str(item) for item in items])
    answers = await asyncio.gather(*(together.do(number) for number in range(1000)))
    assert answers == [str(number) for number in range(1000)]


@pytest.mark.parametrize("raises", [True, False], ids=["work raises", "work answers with an error"])
async def test_one_that_fails_does_not_fail_the_others(raises):
    def work(items):
        if raises and "bad" in items:
            raise ValueError("bad")
        return [ValueError("bad") if item == "bad" else item for item in items]

    together = Together(work)
    items = ["bad" if number % 7 == 3 else number for number in range(100)]
    answers = await asyncio.gather(*(together.do(item) for item in items), return_exceptions=True)
    for item, answer in zip(items, answers, strict=True):
        assert str(answer) == "bad" if item == "bad" else answer == item
    assert await together.do(1) == 1


async def test_who_goes_holds_nobody_up():
    gate = Gate()
    together = Together(gate)
    gone, stays = await come(together, 1, 2)
    await gate.begun.wait()
    gone.cancel()
    gate.open.set()
    assert await stays == 4
    assert await together.do(3) == 6
    assert gone.cancelled()


async def test_when_the_program_ends_nobody_waits():
    gate = Gate()
    together = Together(gate)
    waiting = await come(together, 1, 2)
    await gate.begun.wait()
    together._working.cancel()
    gate.open.set()
    assert all(
        isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*waiting, return_exceptions=True)
    )
