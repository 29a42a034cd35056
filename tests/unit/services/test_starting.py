"""Runs that are being begun: by programs that die meanwhile, and by programs that live on."""

import asyncio
import getpass
import tempfile
import threading
from pathlib import Path

import pytest

from flowbuild.core.errors import InvalidRequest
from flowbuild.store.run_lists import RunFilter
from flowbuild.store.tables import runs
from flowbuild.testing import crash
from flowbuild.testing.home import Home, step
from flowbuild.workspace.repo import RunRepository

STEPS = {"a": step(log="done\n")}


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def made(home):
    return sorted(path.name for path in home.data.glob("runs/*"))


async def begin(home, life):
    await life.start(home)


@pytest.mark.parametrize("verb", ["start", "rerun"])
async def test_what_a_killed_start_left_is_swept(home, verb):
    """At each point until the run is in the database: afterwards the run is there, before nothing is."""
    home.write(STEPS)
    known = []
    if verb == "rerun":
        async with home.life() as life:
            known = [(await life.finished((await life.start(home)).id)).id]

    async def work(life):
        if verb == "rerun":
            await life.client.rerun("last", variables={}, secrets={})
        else:
            await life.start(home)

    left = 0
    reaper = crash.Reaper()
    await crash.live_and_die(home, [], reaper, work)
    async with home.life(abandon=True) as life:
        known += [view.id for view in life.abandoned]
    points = [point for point in reaper.points if "initial" in point or "transaction" in point or "commit" in point]
    assert points
    for point in points:
        reaper = crash.Reaper(point)
        await crash.live_and_die(home, [], reaper, work)
        before = made(home)
        async with home.life(abandon=True) as life:
            known += [view.id for view in life.abandoned]
            assert [view.id for view in reversed(await life.client.runs(everything=True))] == known
        left += len(before) > len(known)
        assert made(home) == sorted(known), point
    assert left, "nothing was ever left: the points are not what they were"


async def test_a_start_that_goes_on_in_another_program_is_left_alone(home, monkeypatch):
    home.write(STEPS)
    original, reached, go_on = RunRepository.initial, threading.Event(), threading.Event()

    def slow(repository, **options):
        reached.set()
        assert go_on.wait(30)
        return original(repository, **options)

    async with home.life() as one:
        monkeypatch.setattr(RunRepository, "initial", slow)
        starting = asyncio.create_task(one.start(home))
        assert await asyncio.to_thread(reached.wait, 30)
        assert len(made(home)) == 1
        async with home.life(abandon=True):  # sweeps
            assert len(made(home)) == 1
        go_on.set()
        assert (await one.finished((await starting).id)).state == "succeeded"
    assert home.leftovers() == []


async def test_a_start_that_fails_leaves_nothing(home, monkeypatch):
    home.write(STEPS)

    def full(_repository, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RunRepository, "initial", full)
    async with home.life() as life:
        with pytest.raises(OSError, match="No space"):
            await life.start(home)
        assert made(home) == []


def device(place):
    return Path(place).stat().st_dev


async def test_runs_may_be_on_a_disk_of_their_own(home):
    home.write(STEPS)
    home.data.mkdir()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as disk:
        (home.data / "runs").symlink_to(disk)
        assert device(disk) != device(home.data)
        async with home.life() as life:
            run = await life.finished((await life.start(home)).id)
            again = await life.finished((await life.client.rerun(run.id, variables={}, secrets={})).id)
            assert made(home) == sorted([run.id, again.id])
        assert (run.state, again.state) == ("succeeded", "succeeded")


async def test_nothing_else_is_swept(home):
    """What has no name of a run is not ours."""
    home.write(STEPS)
    foreign = home.data / "runs" / "notes"
    foreign.mkdir(parents=True)
    async with home.life():
        assert foreign.is_dir()


async def test_a_run_says_who_began_it_and_a_rerun_what_it_was_begun_for(home):
    def lines(life):
        with life.local.database.read() as tx:
            return tx.runs.page(RunFilter(), None, 10)

    def change(life):
        with life.local.database.write() as tx:
            tx._connection.execute(runs.update().values(actor="somebody", trust="untrusted", cause='{"pull": 1}'))

    home.write({"a": step()})
    async with home.life() as life:
        first = (await life.finished((await life.start(home)).id)).id
        await asyncio.to_thread(change, life)
        await life.finished((await life.client.rerun(first, variables={}, secrets={})).id)
        new, old = await asyncio.to_thread(lines, life)
    assert (new.actor, new.event, new.branch, len(new.commit)) == (getpass.getuser(), "manual", "main", 40)
    assert (new.rerun_of, new.trust, new.cause, new.project) == (old.id, "untrusted", {"pull": 1}, old.project)


@pytest.mark.parametrize(("value", "words"), [("", "is empty"), ("x" * 129, "more than 128 characters")])
async def test_an_environment_has_a_name_that_can_be_kept(home, value, words):
    gate = {**step(), "environment": {"name": "${{ inputs.where }}"}}
    home.write({"a": gate}, inputs={"where": {"type": "string"}})
    async with home.life() as life:
        with pytest.raises(InvalidRequest, match=words):
            await life.start(home, inputs={"where": value})
