"""Follows the output of all containers of a unit with bounded memory: a slow reader slows down the engine's stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Any

from flowbuild.engine.api import Api, EngineRefused
from flowbuild.engine.base import EngineUnreachable, LogRecord, Unit
from flowbuild.engine.logstream import FrameParser, Sequencer, TerminalParser

BATCHES = 16  # of at most the read buffer of a connection each
AGAIN_SECONDS = 0.2  # pause when the engine ended the stream of a container that runs

Records = asyncio.Queue[list[LogRecord] | Exception | None]
Inspection = Mapping[str, Any]


async def follow(
    api: Api, unit: Unit, since_ns: Mapping[str, int], begun: Callable[[str], Awaitable[None]], patience: float
) -> AsyncGenerator[LogRecord, None]:
    """Yield records of all services until every container has ended or is gone; see `Engine.logs`.

    `begun` returns when the service was started, or never will be. Raises EngineUnreachable when a lost engine does not
    come back within `patience` seconds.
    """
    queue: Records = asyncio.Queue(BATCHES)

    async def all_services() -> None:
        error: Exception | None = None
        try:
            async with asyncio.TaskGroup() as readers:
                for service, container in unit.containers.items():
                    sequencer = Sequencer(service, since_ns.get(service, 0))
                    wait = partial(begun, service)
                    readers.create_task(_one(api, container, sequencer, queue, begun=wait, patience=patience))
        except* Exception as group:  # noqa: BLE001  raised below, in the reader; the first one is what is told
            error = group.exceptions[0]
        await queue.put(error)

    reading = asyncio.create_task(all_services())
    try:
        while isinstance(batch := await queue.get(), list):
            for record in batch:
                yield record
        if batch is not None:
            raise batch
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _one(
    api: Api,
    container: str,
    sequencer: Sequencer,
    queue: Records,
    *,
    begun: Callable[[], Awaitable[None]],
    patience: float,
) -> None:
    ended: Inspection | None = None
    while True:
        try:
            await begun()
            before = ended or await api.inspect(container)
            if before is None or before["State"]["Status"] == "created":
                return
            await _read(api, container, sequencer, queue, terminal=before["Config"]["Tty"])
            if not before["State"]["Running"]:
                return
            # Once more when it has ended: a followed stream may miss the last record.
            ended = await api.inspect(container)
            if ended is not None and ended["State"]["Running"]:
                ended = None
                await asyncio.sleep(AGAIN_SECONDS)
        except EngineUnreachable:
            if not await api.returned(patience):
                raise
        sequencer.resumed()


async def _read(api: Api, container: str, sequencer: Sequencer, queue: Records, *, terminal: bool) -> None:
    """Read what the engine has and what comes, until it ends the stream."""
    parser = TerminalParser() if terminal else FrameParser()
    params = {"follow": "1", "stdout": "1", "stderr": "1", "timestamps": "1", "since": sequencer.since}
    try:
        async with api.stream(f"containers/{container}/logs", params) as stream:
            while chunk := await stream.readany():
                await _put(queue, sequencer, parser.feed(chunk))
            await _put(queue, sequencer, parser.rest())
    except EngineRefused as error:
        if error.status not in {404, 409}:  # removed, or being removed
            raise


async def _put(queue: Records, sequencer: Sequencer, pieces: Iterator[tuple[str, bytes]]) -> None:
    records = (sequencer.record(stream, stamped) for stream, stamped in pieces)
    batch = [record for record in records if record is not None]
    if batch:
        await queue.put(batch)
