"""How attempts reach a runner that waits for them."""

import asyncio
import uuid

import pytest

from flowbuild.client.base import StartRequest
from flowbuild.client.runner import AttemptResult
from flowbuild.core.errors import StoreError
from flowbuild.core.states import Outcome
from flowbuild.services.audit import Actor
from flowbuild.testing.home import LIMIT, Home, step


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
async def runners(home):
    """The server's side of the protocol, with a run of two steps, of which a runner has the first."""
    home.write({"a": step(then="b"), "b": step()})
    local = await asyncio.to_thread(home.local, drive=True)
    await asyncio.to_thread(local.runs.start, StartRequest(str(home.project)), by=Actor("me"))
    yield local.runners
    local.ownership.release()
    local.close()


async def claim(runners, wait=LIMIT):
    return await runners.claim("local/test", request_key=uuid.uuid4().hex, wait=wait)


async def waiting(runners, monkeypatch):
    """Return a claim that found nothing, and an event for each time that it waits."""
    waits, wait = asyncio.Queue(), runners._signals.wait

    async def told(*arguments):
        waits.put_nowait(None)
        return await wait(*arguments)

    monkeypatch.setattr(runners._signals, "wait", told)
    task = asyncio.create_task(claim(runners))
    await waits.get()
    return task, waits


def succeeded(assignment):
    return AttemptResult(Outcome.SUCCEEDED, exit_code=0, commit=assignment.input_commit)


async def test_a_claim_that_waits_gets_what_follows_in_the_transaction_of_the_result(runners, monkeypatch):
    first = await claim(runners)
    task, _ = await waiting(runners, monkeypatch)
    monkeypatch.setattr(runners, "_claim", lambda *_: pytest.fail("it asked the database itself"))
    await runners.finish(first.lease, succeeded(first))
    second = await task
    assert (second.lease.step, second.state) == ("b", "leased")
    monkeypatch.undo()
    assert await claim(runners, wait=0) is None


async def test_a_claim_waits_on_when_the_result_could_not_be_stored(runners, monkeypatch):
    first = await claim(runners)
    task, waits = await waiting(runners, monkeypatch)

    refused, claim_in = [], runners._claim_in

    def refuse_once(*arguments, **options):
        if not refused:
            refused.append(arguments)
            raise StoreError("the disk is full")
        return claim_in(*arguments, **options)

    monkeypatch.setattr(runners, "_claim_in", refuse_once)
    with pytest.raises(StoreError):
        await runners.finish(first.lease, succeeded(first))
    await waits.get()  # it was answered, found nothing and waits again
    await runners.finish(first.lease, succeeded(first))
    assert (await task).lease.step == "b"


async def test_a_claim_that_was_given_up_takes_nothing(runners, monkeypatch):
    first = await claim(runners)
    task, _ = await waiting(runners, monkeypatch)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await runners.finish(first.lease, succeeded(first))
    assert (await claim(runners, wait=0)).lease.step == "b"


async def test_nobody_is_answered_when_nothing_follows(runners, monkeypatch):
    first = await claim(runners)
    await runners.finish(first.lease, succeeded(first))
    second = await claim(runners)
    task, _ = await waiting(runners, monkeypatch)
    await runners.finish(second.lease, succeeded(second))
    assert not task.done()
    assert len(runners._polls._waiting) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
