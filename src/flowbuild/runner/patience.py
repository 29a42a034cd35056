"""Waiting for a database that is away and for disks that are full: what a step has done and said is not given up for that.

Over HTTP `runner.remote` waits for the server; here is the runner in the process of the server, and what runners keep on their disks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import structlog

from flowbuild.client.runner import Assignment, AttemptResult, Beat, Lease, LogEntry, Report, RunnerClient
from flowbuild.core.errors import StoreError, is_full

log = structlog.get_logger()
T = TypeVar("T")
LONG = 1800.0  # seconds
RETRY_SECONDS = 0.2  # before the first repetition; twice as long before each further one
RETRY_MOST = 5.0


class Patience:
    """Repeats work until the database and the disk do their part, for `seconds` at most; 0: at once it is as it is."""

    def __init__(self, seconds: float, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._seconds = seconds
        self._sleep = sleep

    async def __call__(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do work that may be repeated. Raises what it raises, in the end."""
        waited, pause = 0.0, RETRY_SECONDS
        while True:
            try:
                return await work()
            except (StoreError, OSError) as error:
                if waited >= self._seconds or not (isinstance(error, StoreError) or is_full(error)):
                    raise
                log.warning("waiting", error=str(error))
            await self._sleep(pause)
            waited, pause = waited + pause, min(2 * pause, RETRY_MOST)


class PatientClient:
    """`RunnerClient` of the same process. Claims, heartbeats and results are repeated by who makes them."""

    def __init__(self, client: RunnerClient, patience: Patience) -> None:
        self._client = client
        self._patience = patience

    async def claim(self, runner: str, *, request_key: str, wait: float) -> Assignment | None:
        """See RunnerClient."""
        return await self._client.claim(runner, request_key=request_key, wait=wait)

    async def phase(self, lease: Lease, phase: str) -> None:
        """See RunnerClient."""
        await self._client.phase(lease, phase)

    async def cached(self, lease: Lease, key: str) -> AttemptResult | None:
        """See RunnerClient."""
        return await self._patience(lambda: self._client.cached(lease, key))

    async def launched(self, lease: Lease, compose: Mapping[str, Any]) -> None:
        """See RunnerClient."""
        await self._patience(lambda: self._client.launched(lease, compose))

    async def healthy(self, lease: Lease, result: AttemptResult) -> None:
        """See RunnerClient."""
        await self._patience(lambda: self._client.healthy(lease, result))

    async def append_log(self, lease: Lease, offset: int, entries: Sequence[LogEntry]) -> int:
        """See RunnerClient."""
        return await self._patience(lambda: self._client.append_log(lease, offset, entries))

    async def log_state(self, lease: Lease) -> tuple[int, Mapping[str, int]]:
        """See RunnerClient."""
        return await self._patience(lambda: self._client.log_state(lease))

    async def heartbeat(self, runner: str, report: Report, *, wait: float) -> Beat:
        """See RunnerClient."""
        return await self._client.heartbeat(runner, report, wait=wait)

    async def forgotten(self, runner: str, run: str) -> None:
        """See RunnerClient."""
        await self._client.forgotten(runner, run)

    async def finish(self, lease: Lease, result: AttemptResult) -> None:
        """See RunnerClient."""
        await self._client.finish(lease, result)
