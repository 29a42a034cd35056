"""What comes in while a transaction is being committed shares the next one: a commit costs as much for many rows as for one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")
MOST = 200  # that share a transaction


class Together(Generic[T, R]):
    """Does `work` for several threads at a time. It takes what they brought, and returns as many answers, in order.

    When it fails for several, it is done for each alone: who brought nothing wrong must not fail.
    """

    def __init__(self, work: Callable[[Sequence[T]], Sequence[R]]) -> None:
        self._work = work
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._waiting: list[tuple[T, Future[R]]] = []

    def do(self, item: T) -> R:
        """Return the answer to `item`; raises what `work` raises for it."""
        answer: Future[R] = Future()
        with self._lock:
            self._waiting.append((item, answer))
        while not answer.done():
            with self._turn:  # whoever has it works for all that wait; the others mostly find that they are done
                if not answer.done():
                    self._do_all()
        return answer.result()

    def _do_all(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        try:
            answers = self._work([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 (told to whoever it concerns)
            if len(batch) > 1:
                self._do_each(batch)
            else:
                batch[0][1].set_exception(error)
            return
        except BaseException as error:  # this thread ends; the others must not wait for it
            for _, answer in batch:
                answer.set_exception(error)
            raise
        for (_, answer), result in zip(batch, answers, strict=True):
            answer.set_result(result)

    def _do_each(self, batch: Sequence[tuple[T, Future[R]]]) -> None:
        for item, answer in batch:
            try:
                (result,) = self._work([item])
            except Exception as error:  # noqa: BLE001 (told to whoever it concerns)
                answer.set_exception(error)
            else:
                answer.set_result(result)
