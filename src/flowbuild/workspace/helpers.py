"""A few threads that make or read directories beside the main one; system calls and checksums run without the GIL."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import ParamSpec, Self

THREADS = min(4, os.cpu_count() or 1)
_IN_FLIGHT = 32  # each holds a directory open

P = ParamSpec("P")


class Helpers:
    """Runs jobs in threads that are started when the first job comes. A failed job fails the whole.

    `where` is set to the path of the failed job, for the message. Leaving the block waits for all jobs.
    """

    def __init__(self, where: list[bytes]) -> None:
        self._where = where
        self._pool: ThreadPoolExecutor | None = None
        self._jobs: deque[tuple[bytes, Future[None]]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def submit(self, path: bytes, job: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Run a job; waits while too many are running. Raises what an earlier job raised."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="workspace")
        self._jobs.append((path, self._pool.submit(job, *args, **kwargs)))
        if len(self._jobs) >= _IN_FLIGHT:
            self._wait_for_one()

    def finish(self) -> None:
        """Wait for all jobs; raises what one of them raised."""
        while self._jobs:
            self._wait_for_one()

    def _wait_for_one(self) -> None:
        path, future = self._jobs.popleft()
        try:
            future.result()
        except BaseException:
            self._where[0] = path
            raise
