"""What the server is told of an attempt and has to know to go on. One that comes back from a backup is told again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from flowbuild.client.runner import Assignment, AttemptResult
from flowbuild.core.errors import FlowError, ResultMissing, SystemFailed, WorkspaceError
from flowbuild.core.ids import CommitId
from flowbuild.runner.tools import Tools

log = structlog.get_logger()
RETRY_SECONDS = 1.0  # after the server could not take a result


class Reports:
    """Of one attempt. A result has been pushed when it is reported, and is pushed again to a server that has lost it."""

    def __init__(self, assignment: Assignment, tools: Tools) -> None:
        self._assignment = assignment
        self._lease = assignment.lease
        self._client = tools.client
        self._repositories = tools.repositories
        self._told: list[Callable[[], Awaitable[None]]] = []

    async def launched(self, compose: Mapping[str, Any], *, known: bool) -> None:
        """Say that containers may run from now on; `known`: an earlier life of the runner did."""
        if not known:
            await self._client.launched(self._lease, compose)
        self._told.append(lambda: self._client.launched(self._lease, compose))

    async def healthy(self, result: AttemptResult) -> None:
        """Say that a background step is up."""

        async def tell() -> None:
            await self._with_result(result, lambda: self._client.healthy(self._lease, result))

        await tell()
        self._told.append(tell)

    async def finish(self, result: AttemptResult) -> None:
        """Hand in the result until the server takes or refuses it: an attempt without an answer would never end."""
        while True:
            try:
                await self._with_result(result, lambda: self._client.finish(self._lease, result))
            except SystemFailed as error:
                log.error("finish_failed", run=self._lease.run, step=self._lease.step, error=error.message)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    async def repeat(self) -> None:
        """Tell the server again how far this is: the backup may have been made before it was told."""
        try:
            for report in tuple(self._told):
                await report()
        except FlowError as error:  # when it does not want to know, heartbeats tell us to stop
            log.info("not_repeated", run=self._lease.run, step=self._lease.step, error=error.message)

    async def _with_result(self, result: AttemptResult, report: Callable[[], Awaitable[None]]) -> None:
        try:
            await report()
        except ResultMissing as missing:
            try:
                await self._push(result)
            except WorkspaceError as error:  # nor is it here any more
                raise missing from error
            await report()

    async def _push(self, result: AttemptResult) -> None:
        if result.commit is not None:
            repository = await self._repositories.fetch(self._assignment)
            await self._repositories.push(self._assignment, repository, CommitId(result.commit))
