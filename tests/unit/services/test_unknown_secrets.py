"""Output of a step whose secrets nobody knows any more: their values were in the memory of a program that died."""

import pytest

from flowbuild.services.runners import RunnerService
from flowbuild.testing.home import Home, step

SECRET = "correct horse battery staple"


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


async def interrupted(home, monkeypatch):
    """Start a step that prints its secret, in a life that ends before it could keep any output."""
    # The pipeline file holds the text, too: only what is kept of the output counts here.
    home.write({"a": step(log=f"it is {SECRET}!\n", sleep=100_000, more={"secrets": ["KEY"]})})

    async def never(_service, _lease, offset, _entries):
        return offset

    with monkeypatch.context() as patch:
        patch.setattr(RunnerService, "append_log", never)
        async with home.life() as life:
            run = (await life.start(home, secrets={"KEY": SECRET})).id
            await life.until(run, "a", "run")
            while not any(unit for _, unit in home.machine.units.values() if unit["main"].log):
                await home.machine.change()
    return run


async def test_it_is_not_kept(home, monkeypatch):
    run = await interrupted(home, monkeypatch)
    async with home.life(abandon=True) as life:
        await life.finished(run)
        text = await life.log(run, "a")
    assert SECRET.encode() not in text
    assert b"KEY" in text
    assert home.leftovers() == []


async def test_it_is_kept_and_masked_when_the_values_are_given_again(home, monkeypatch):
    """The negative control: there was something to keep."""
    run = await interrupted(home, monkeypatch)
    async with home.life() as life:
        await life.client.resume("", secrets={"KEY": SECRET})
        await life.speaks(run, "a")
        await life.client.cancel(run, force=True)
        await life.finished(run)
        text = await life.log(run, "a")
    assert b"it is ***" in text
