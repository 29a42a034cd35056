"""What comes in while a transaction is being committed shares the next one: a commit costs as much for many rows as for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")
MOST = 200  # that share a transaction


class Together(Generic[T, R]):
    """Does `work` for several callers at a time, in one thread. It takes what they brought, and returns as many answers, in order.

    An answer that is an exception is raised for whom it is meant. When `work` itself fails for several, it is done for
    each alone: who brought nothing wrong must not fail. Use it in one event loop.
    """

    def __init__(self, work: Callable[[Sequence[T]], Sequence[R | Exception]]) -> None:
        self._work = work
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._working: asyncio.Task[None] | None = None

    async def do(self, item: T) -> R:
        """Return the answer to `item`; raises what is the answer to it, or what `work` raises for it alone."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._working is None:
            self._working = asyncio.create_task(self._work_on())
        return await answer

    async def _work_on(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._answer(batch)
        finally:
            self._working = None

    async def _answer(self, batch: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            answers = await asyncio.to_thread(self._work, [item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 (told to whoever it concerns)
            if len(batch) > 1:
                for one in batch:
                    await self._answer([one])
                return
            answers = [error]
        except BaseException:  # the program ends; nobody must wait for it
            for _, future in batch:
                future.cancel()
            raise
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():  # who asked has gone
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
