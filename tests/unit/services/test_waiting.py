"""Why a step does not run: each reason, in words and as data."""

import asyncio
from time import time

import pytest

from flowbuild.core.errors import NotFound
from flowbuild.services.placing import Placing
from flowbuild.services.waiting import WaitService, WaitsFor
from flowbuild.testing.home import Home, step


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path, capacity=1)


async def why(life, run, key, placing=None):
    service = WaitService(life.local.database, life.local.looking, placing or life.local.placing, time)
    return await asyncio.to_thread(service.why, run, key)


async def ended(life, *runs):
    for run in runs:
        await life.client.cancel(run.id, force=True)
    for run in runs:
        await life.finished(run.id)


async def test_for_steps_before_it_and_for_a_place(home):
    home.write({"a": step(sleep=1000), "b": step(sleep=1000), "c": step(), "d": {**step(), "success": ["c"]}})
    async with home.life() as life:
        begun = await life.start(home)
        await life.until(begun.id, "a", "run")
        first, queued = await why(life, begun.id, "b"), await why(life, begun.id, "d")
        pending, running = await why(life, begun.id, "c"), await why(life, begun.id, "a")
        nobody = await why(life, begun.id, "b", Placing(owner=life.local.ownership.token, serves=True, capacity=0))
        with pytest.raises(NotFound, match="has no step 'x'"):
            await why(life, begun.id, "x")
        await ended(life, begun)
        after = await why(life, begun.id, "c")
    assert (first.waits_for, first.message) == (WaitsFor.RUNNER, "it is the next; all 1 places are taken")
    assert (queued.details["ahead"], queued.message) == (1, "1 have waited longer; 1 can run at once")
    assert first.since is not None
    assert (pending.waits_for, pending.details) == (WaitsFor.STEPS, {"steps": ["d"]})
    assert running.waits_for is WaitsFor.NOTHING
    assert nobody.message == "no runner is connected"
    assert after.message == "it is cancelled"


async def test_for_people_and_for_environments(home):
    gate = {**step(sleep=1000), "environment": {"name": "prod", "approve": ["maintainers"]}}
    home.write({"a": gate})
    async with home.life() as life:
        first = await life.start(home)
        await life.until(first.id, "a", "waiting")
        approval = await why(life, first.id, "a")
        await life.client.approve(first.id, "a")
        await life.until(first.id, "a", "run")
        second = await life.start(home)
        await life.until(second.id, "a", "waiting")
        await life.client.approve(second.id, "a")
        held = await why(life, second.id, "a")
        await ended(life, first, second)
    assert (approval.waits_for, approval.details) == (WaitsFor.APPROVAL, {"approvers": ["maintainers"]})
    assert (held.waits_for, held.details) == (WaitsFor.ENVIRONMENT, {"run": first.id, "step": "a"})
    assert "run 1 of project acts on environment 'prod'" in held.message


async def test_for_the_time_between_two_attempts(home):
    home.write({"a": step(exit=1, more={"retry": {"max": 1, "on": ["failed"], "delay": "1h"}})})
    async with home.life() as life:
        begun = await life.start(home)
        await life.until(begun.id, "a", "backoff")
        waiting = await why(life, begun.id, "a")
        await ended(life, begun)
    assert waiting.waits_for is WaitsFor.RETRY
