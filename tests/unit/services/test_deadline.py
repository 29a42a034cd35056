"""The time of a step: it begins when containers may run, and whoever takes over a run knows how much is left."""

import asyncio
from time import time

import pytest

from flowbuild.core.attempts import DEADLINE_MARGIN
from flowbuild.store.attempts import AttemptKey
from flowbuild.testing.engine import DummyEngine
from flowbuild.testing.home import Home, step

HOUR = 3600.0
FOREVER = 100_000


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def looks(life, run):
    """Return the timers of a run and its newest attempt."""
    with life.local.database.read() as tx:
        return tx.timers.of_run(run), tx.attempts.of_run(run)[-1]


async def test_the_deadline_begins_when_containers_may_run(home, monkeypatch):
    home.write({"a": step(sleep=FOREVER, more={"timeout": "1h"})})
    pulling, pulled = asyncio.Event(), asyncio.Event()
    original = DummyEngine.images

    async def slow(engine, *arguments):
        pulling.set()
        await pulled.wait()
        return await original(engine, *arguments)

    monkeypatch.setattr(DummyEngine, "images", slow)
    async with home.life() as life:
        run = (await life.start(home)).id
        await life.until(run, "a", "running")
        await pulling.wait()
        assert (await asyncio.to_thread(looks, life, run))[0] == []
        pulled.set()
        events = [update.event async for update in _until_launched(life, run)]
        ((name, at),), attempt = await asyncio.to_thread(looks, life, run)
        assert (name, attempt.state) == ("deadline/a/1/1", "launched")
        assert at == pytest.approx(attempt.started_at + HOUR + DEADLINE_MARGIN, abs=1.0)
        assert [event["type"] for event in events].count("attempt_launched") == 1
        await life.client.cancel(run, force=True)
        await life.finished(run)


async def _until_launched(life, run):
    async for update in life.client.watch(run):
        yield update
        if update.event["type"] == "attempt_launched":
            return


async def interrupted(home, script, *, ago):
    """Run a step in a life that ends, long ago; return the run."""
    home.write({"a": step(**script)})
    async with home.life() as life:
        run = (await life.start(home)).id
        await life.speaks(run, "a")

    def date_back(local):
        key = AttemptKey(run, "a", 1, 1)
        with local.database.write() as tx:
            began = tx.attempts.get(key).started_at
            tx.attempts.launched(key, began - ago)
            for name, at in tx.timers.of_run(run):
                tx.timers.set(run, name, at - ago)

    async with home.looking() as life:
        await asyncio.to_thread(date_back, life.local)
    return run


async def until_it_ended(home):
    while any(
        c.state is not None and c.state.status == "running"
        for _, unit in home.machine.units.values()
        for c in unit.values()
    ):
        await home.machine.change()


async def test_what_ended_in_time_is_no_loss_however_late_it_is_looked_at(home):
    """Its deadline is over, but nobody was there to be told."""
    run = await interrupted(home, {"log": "on it\n", "sleep": 5, "exit": 3, "more": {"timeout": "1h"}}, ago=5 * HOUR)
    await until_it_ended(home)
    async with home.life() as life:
        await life.client.resume("", secrets={})
        found = (await life.finished(run)).steps[0]
    assert (str(found.outcome), str(found.reason), found.exit_code) == ("failed", "exit_code", 3)


async def test_a_step_has_the_rest_of_its_time_after_an_interruption(home, monkeypatch):
    monkeypatch.setattr("flowbuild.runner.attempt.LOOK_SECONDS", 0.0)
    script = {"log": "on it\n", "sleep": FOREVER, "more": {"timeout": "1h"}}
    run = await interrupted(home, script, ago=2 * HOUR)
    async with home.life() as life:
        await life.client.resume("", secrets={})
        found = (await life.finished(run)).steps[0]
    assert (str(found.outcome), str(found.reason)) == ("failed", "timeout")
    assert "3600 s" in found.message


async def test_who_takes_over_a_run_is_as_patient_as_its_first_owner(home):
    run = await interrupted(home, {"log": "on it\n", "sleep": FOREVER, "more": {"timeout": "1h"}}, ago=2 * HOUR)
    async with home.life() as life:
        now = time()
        await life.client.resume("", secrets={})
        timers, _ = await asyncio.to_thread(looks, life, run)
        await life.client.cancel(run, force=True)
        await life.finished(run)
    (timer,) = timers
    assert timer[0] == "deadline/a/1/1"
    assert timer[1] == pytest.approx(now + HOUR + DEADLINE_MARGIN, abs=30.0)
