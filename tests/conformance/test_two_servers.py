"""Two servers over one PostgreSQL database and one home directory; the runs of one that dies go on at the other."""

import asyncio
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import pytest

from flowbuild.core.ids import RunId
from flowbuild.services.audit import Actor
from flowbuild.testing.home import LIMIT, Home, step
from flowbuild.testing.postgres import running
from flowbuild.wiring.server import make_backend

FOREVER = 100_000

# A server of its own process, with an engine of its own: `PLACE DATABASE STEP STATE` begins a run and says so as soon as the
# step has that state.
SERVER = """
import asyncio, sys
from pathlib import Path
from flowbuild.testing.home import Home
place, database, step, state = sys.argv[1:]
home = Home(Path(place), database=database)
async def main():
    async with home.life(serving=True) as life:
        run = await life.start(home)
        await life.until(run.id, step, state)
        print(run.id, life.local.ownership.token, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.fixture
def home(tmp_path, postgres):
    return Home(tmp_path, database=postgres.database())


@contextmanager
def server(home, step, state):
    """A server in a process of its own; gives the process, the run that it began and its token."""
    command = [sys.executable, "-c", SERVER, str(home.top), home.database, step, state]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield (process, *process.stdout.readline().split())
        finally:
            process.kill()


async def owned_by(life, run, token):
    """Return when a run has that owner."""

    def owner():
        with life.local.database.read() as tx:
            return tx.runs.owner(RunId(run))

    async with asyncio.timeout(LIMIT):
        while True:
            seen = life.local.signals.token("run:" + run)
            if await asyncio.to_thread(owner) == token:
                return
            await life.local.signals.wait("run:" + run, seen)


async def test_what_waits_when_its_server_is_killed_goes_on_at_the_other(home):
    home.write({"a": step(more={"environment": {"name": "qa", "approve": ["maintainers"]}}, then="b"), "b": step()})
    with server(home, "a", "waiting") as (process, run, token):
        async with home.life(serving=True) as life:
            assert await asyncio.to_thread(life.local.ownership.living) == {token}
            process.send_signal(signal.SIGKILL)
            await owned_by(life, run, life.local.ownership.token)
            await life.client.approve(run, "a")
            view = await life.finished(run)
    assert view.state == "succeeded"
    assert {each.key: len(each.attempts) for each in view.steps} == {"a": 1, "b": 1}


async def test_what_runs_when_its_server_is_killed_is_lost_and_the_run_goes_on(home):
    """Its containers are in the engine that died with it; `fail` edges decide what follows, as always."""
    home.write({"a": step(sleep=FOREVER, fail="mail"), "mail": step()})
    with server(home, "a", "run") as (process, run, _):
        async with home.life(serving=True) as life:
            process.send_signal(signal.SIGKILL)
            await owned_by(life, run, life.local.ownership.token)
            view = await life.finished(run)
    assert {each.key: (each.outcome, each.reason) for each in view.steps} == {
        "a": ("errored", "infra_lost"),
        "mail": ("succeeded", None),
    }


async def test_a_server_takes_over_what_was_left_before_it_started(home):
    home.write({"a": step(more={"environment": {"name": "qa", "approve": ["maintainers"]}})})
    with server(home, "a", "waiting") as (process, run, _):
        process.send_signal(signal.SIGKILL)
        process.wait()
    async with home.life(serving=True) as life:
        await owned_by(life, run, life.local.ownership.token)
        await life.client.approve(run, "a")
        assert (await life.finished(run)).state == "succeeded"


async def test_nobody_takes_over_while_the_other_one_lives(home):
    """The control of the three above: they would not see a take-over that happens too early."""
    home.write({"a": step(sleep=FOREVER)})
    with server(home, "a", "run") as (process, run, token):
        async with home.life(serving=True) as life:
            mine = await life.start(home)
            await life.until(mine.id, "a", "run")
            for each in (mine.id, run):
                await life.client.cancel(each)
            assert (await life.finished(mine.id)).state == "cancelled"
            assert (await life.updates(run))[-1].run.state == "cancelled"  # its own server was woken and stopped it
            await owned_by(life, run, token)
        process.kill()


async def test_nothing_looks_like_a_database_in_the_home_directory(home):
    home.write({"a": step()})
    async with home.life(serving=True) as life:
        assert (await life.finished((await life.start(home)).id)).state == "succeeded"
    assert not (home.data / "flow.db").exists()
    assert (home.data / "flow.log").exists()


async def test_servers_that_work_side_by_side_do_everything_once(home):
    home.write({"a": step(then="b c"), "b": step(then="d"), "c": step(then="d"), "d": step()})
    async with home.life(serving=True) as one, home.life(serving=True) as two:
        begun = [(life, (await life.start(home)).id) for life in (one, two) * 4]
        views = [await life.finished(run) for life, run in begun]
    assert sorted(view.number for view in views) == list(range(1, 9))
    assert {view.state for view in views} == {"succeeded"}
    assert {len(each.attempts) for view in views for each in view.steps} == {1}
    assert home.leftovers() == []


async def test_an_environment_is_handed_from_one_server_to_the_other(home):
    home.write({"a": step(more={"environment": "qa"})})
    async with home.life(serving=True) as one, home.life(serving=True) as two:
        begun = [(life, (await life.start(home)).id) for life in (one, two) * 3]
        views = [await life.finished(run) for life, run in begun]
    assert {view.state for view in views} == {"succeeded"}
    times = sorted((each.attempts[0].started_at, each.attempts[0].finished_at) for view in views for each in view.steps)
    assert all(before[1] <= after[0] for before, after in pairwise(times))


async def test_a_database_that_is_away_for_a_while_costs_nothing(tmp_path):
    """Steps run on, their results wait, and nobody takes anything over, although all owners are missing at first."""
    with running() as database:
        home = Home(tmp_path, database=database.database())
        home.write({"a": step(log="here\n", sleep=100, then="b"), "b": step()})
        async with home.life(serving=True) as one, home.life(serving=True) as two:
            begun = [(life, (await life.start(home)).id) for life in (one, two)]
            for life, run in begun:
                await life.speaks(run, "a")
            await asyncio.to_thread(database.stop, how=signal.SIGQUIT)
            await asyncio.to_thread(database.start)
            views = [await life.finished(run) for life, run in begun]
            owners = [life.local.ownership.token for life, _ in begun]
            for (life, run), owner in zip(begun, owners, strict=True):
                await owned_by(life, run, owner)
        steps = [each for view in views for each in view.steps]
        assert {(each.key, each.outcome, each.message) for each in steps} == {(key, "succeeded", "") for key in "ab"}
        assert {len(each.attempts) for each in steps} == {1}


async def test_runners_inside_servers_are_one(home):
    """Its places are those of all servers that live; who drains it drains them all."""
    home.write({"a": step()})

    def listed(life):
        (row,) = make_backend(life.local).machines.registration.runners()
        return row.name, row.state, row.capacity

    async with replace(home, capacity=1).life(serving=True) as one:
        assert await asyncio.to_thread(listed, one) == ("local", "active", 1)
        async with replace(home, capacity=3).life(serving=True) as other:
            assert await asyncio.to_thread(listed, one) == ("local", "active", 4)
            drain = make_backend(one.local).machines.registration.drain
            await asyncio.to_thread(drain, "local", Actor("ada"))
            assert await asyncio.to_thread(listed, other) == ("local", "draining", 4)
            run = (await other.start(home)).id
            await other.until(run, "a", "queued")
            assert await other.local.runners.claim("local/x", request_key="k", wait=0) is None
            assert (await other.client.get(run)).steps[0].state == "queued"
            await asyncio.to_thread(make_backend(one.local).machines.registration.activate, "local", Actor("ada"))
            assert (await other.finished(run)).state == "succeeded", "the one that is told wakes the other one"
        assert await asyncio.to_thread(listed, one) == ("local", "active", 1)


async def test_who_waits_is_told_of_the_places_of_all_servers_that_live(home):
    """Of the one that is asked and of the other; of one that died no more."""
    home.write({"a": step(sleep=FOREVER), "b": step(sleep=FOREVER)})
    home = replace(home, capacity=1)

    def told(life, run):
        waiting = make_backend(life.local).waiting.why(RunId(run), "b")
        return waiting.details["places"], waiting.details["runners"]

    async with home.life(serving=True) as life:
        begun = await life.start(home)
        await life.until(begun.id, "a", "run")
        assert await asyncio.to_thread(told, life, begun.id) == (1, 1)
        async with replace(home, capacity=3).life(serving=True) as other:
            assert await asyncio.to_thread(told, life, begun.id) == (4, 2)
            assert await asyncio.to_thread(told, other, begun.id) == (4, 2)
        assert await asyncio.to_thread(told, life, begun.id) == (1, 1)
        with server(home, "a", "running") as (process, run, _token):
            assert await asyncio.to_thread(told, life, begun.id) == (5, 2)
            process.kill()
            process.wait()
            await owned_by(life, run, life.local.ownership.token)
            assert await asyncio.to_thread(told, life, begun.id) == (1, 1)
        for each in (begun.id, run):
            await life.client.cancel(each, force=True)
            await life.finished(each)
