"""The log of an attempt is its runner's alone: whoever lost the lease, or never had it, adds nothing."""

import asyncio
from contextlib import asynccontextmanager
from time import time

import pytest

from flowbuild.client.base import StartRequest
from flowbuild.client.runner import AttemptResult, Lease, LogEntry
from flowbuild.core.errors import LeaseLost
from flowbuild.core.states import Outcome
from flowbuild.services.audit import Actor
from flowbuild.services.runners import RunnerService
from flowbuild.store.attempts import AttemptKey
from flowbuild.store.database import Database
from flowbuild.testing.home import Home, step

ENTRY = LogEntry("main", "stdout", 1, b"x" * 100)


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path)
    made.write({"a": step()})
    return made


@asynccontextmanager
async def program(home):
    """A program that drives runs, but whose runner is the test."""
    local = await asyncio.to_thread(home.local, drive=True)
    try:
        yield local
    finally:
        local.ownership.release()
        local.close()


async def begun(home, local):
    """Start a run and claim its attempt."""
    await asyncio.to_thread(local.runs.start, StartRequest(str(home.project)), by=Actor("me"))
    return (await local.runners.claim("local/r", request_key="k", wait=0)).lease


def offered_again(local, lease):
    """Offer the attempt to others: what `Enqueue` of a higher epoch does."""
    key = AttemptKey(lease.run, lease.step, lease.attempt, lease.epoch + 1)
    with local.database.write() as tx:
        tx.attempts.enqueue(key, "0" * 64, time())
    local.decisions.announce(lease.run)


def logs_of(home):
    return sorted(path.read_bytes() for path in home.data.rglob("logs/*/*/*/data"))


async def test_a_fenced_runner_adds_nothing(home):
    async with program(home) as local:
        lease = await begun(home, local)
        assert await local.runners.append_log(lease, 0, [ENTRY]) == 100
        await asyncio.to_thread(offered_again, local, lease)
        for call in (local.runners.append_log(lease, 100, [ENTRY]), local.runners.log_state(lease)):
            with pytest.raises(LeaseLost):
                await call
        assert logs_of(home) == [ENTRY.data]


@pytest.mark.parametrize("field", ["run", "step", "attempt", "epoch"])
async def test_a_lease_that_nobody_gave_opens_no_log(home, field):
    async with program(home) as local:
        lease = await begun(home, local)
        wrong = Lease(
            **{
                **{name: getattr(lease, name) for name in Lease.__slots__},
                field: {"run": "x", "step": "x"}.get(field, 9),
            }
        )
        for call in (local.runners.append_log(wrong, 0, [ENTRY]), local.runners.log_state(wrong)):
            with pytest.raises(LeaseLost):
                await call
        assert logs_of(home) == []


async def test_after_the_end_nothing_is_added(home):
    async with program(home) as local:
        lease = await begun(home, local)
        await local.runners.append_log(lease, 0, [ENTRY])
        await local.runners.finish(lease, AttemptResult(Outcome.SUCCEEDED))
        with pytest.raises(LeaseLost):
            await local.runners.append_log(lease, 100, [ENTRY])
        assert logs_of(home) == [ENTRY.data]


async def test_a_lease_is_known_again_after_a_restart(home):
    async with program(home) as local:
        lease = await begun(home, local)
        await local.runners.append_log(lease, 0, [ENTRY])
        owner = local.ownership.token
    async with program(home) as local:
        await asyncio.to_thread(local.runs.resume, lease.run, {}, [owner])
        assert (await local.runners.claim("local/other", request_key="l", wait=0)).lease == lease
        assert await local.runners.append_log(lease, 100, [ENTRY]) == 200
        await asyncio.to_thread(offered_again, local, lease)
        with pytest.raises(LeaseLost):
            await local.runners.append_log(lease, 200, [ENTRY])


async def test_output_costs_no_transaction(home, monkeypatch):
    async with program(home) as local:
        lease = await begun(home, local)
        await local.runners.append_log(lease, 0, [ENTRY])
        asked = []
        for name in ("read", "write"):
            original = getattr(Database, name)
            monkeypatch.setattr(Database, name, lambda self, call=original: asked.append(call) or call(self))
        for number in range(1, 50):
            await local.runners.append_log(lease, number * 100, [ENTRY])
        await local.runners.phase(lease, "run")  # changes nothing that is stored
        await local.runners.append_log(lease, 5000, [ENTRY])
        assert asked == []
        local.decisions.announce(lease.run)  # the run changed: it is looked at once more
        for number in range(51, 100):
            await local.runners.append_log(lease, number * 100, [ENTRY])
        assert len(asked) == 1


async def test_a_runner_stops_what_is_not_its_own_any_more(tmp_path, monkeypatch):
    home = Home(tmp_path)
    home.write({"a": step(log="on it\n", sleep=100_000)})

    def lost(_service, lease, _offset, entries):
        if any(entry.service == "main" for entry in entries):
            raise LeaseLost("not yours")
        return sum(len(entry.data) for entry in entries)

    monkeypatch.setattr(RunnerService, "_append", lost)
    async with home.life() as life:
        await life.finished((await life.start(home)).id)
    assert home.leftovers() == []
