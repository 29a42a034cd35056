"""How the last output of containers is waited for: as long as some of it comes, however much there is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from flowbuild.client.runner import Lease
from flowbuild.engine.base import LogRecord
from flowbuild.runner.logship import LogShip

PATIENCE = 0.2  # seconds
LEASE = Lease("run", "step", 1, 1)


class Taking:
    """A server that takes all output."""

    def __init__(self) -> None:
        self.said = b""

    async def append_log(self, _lease, offset, entries):
        data = b"".join(entry.data for entry in entries)
        self.said += data
        return offset + len(data)


async def records(number: int, pause: float) -> AsyncIterator[LogRecord]:
    for index in range(number):
        await asyncio.sleep(pause)
        yield LogRecord("main", "stdout", index + 1, b"%d\n" % index)


async def test_output_that_takes_longer_than_the_patience_arrives_whole() -> None:
    server = Taking()
    ship = LogShip(server, LEASE, {}, lambda: None)
    following = asyncio.create_task(ship.follow(records(30, PATIENCE / 10)))  # three times the patience
    await ship.drain(following, PATIENCE)
    assert server.said == b"".join(b"%d\n" % index for index in range(30))


async def test_output_that_does_not_come_is_given_up() -> None:
    ship = LogShip(Taking(), LEASE, {}, lambda: None)
    following = asyncio.create_task(ship.follow(records(1, 3600)))
    with pytest.raises(TimeoutError):
        await ship.drain(following, PATIENCE)
    following.cancel()


async def test_what_went_wrong_with_it_is_told() -> None:
    async def broken() -> AsyncIterator[LogRecord]:
        yield LogRecord("main", "stdout", 1, b"a")
        raise OSError("the engine is away")

    ship = LogShip(Taking(), LEASE, {}, lambda: None)
    with pytest.raises(OSError, match="the engine is away"):
        await ship.drain(asyncio.create_task(ship.follow(broken())), PATIENCE)
