"""A runner elsewhere and two servers over one PostgreSQL database: it works for both, whichever it speaks to."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from time import time

import pytest

from flowbuild.core.ids import RunId
from flowbuild.services import client
from flowbuild.services.accounts import Browser, Lifetimes
from flowbuild.services.audit import Actor
from flowbuild.services.decisions import phase_topic
from flowbuild.services.principals import Principals
from flowbuild.services.users import UserChange
from flowbuild.testing.engine import DummyEngine
from flowbuild.testing.far import FarMachine
from flowbuild.testing.home import LIMIT, Home, step
from flowbuild.testing.payloads import FORGES, Push
from flowbuild.testing.site import open_site

ROOT, GOOD = Actor("root"), "correct horse battery"


@pytest.fixture
def home(tmp_path, postgres, monkeypatch):
    monkeypatch.setattr(client, "FOREIGN_INTERVAL", 100_000)  # nobody looks again and again
    (tmp_path / "server").mkdir()
    return Home(tmp_path / "server", database=postgres.database())


@pytest.fixture
def far(tmp_path):
    return FarMachine(tmp_path / "far")


@asynccontextmanager
async def two_sites(home):
    async with open_site(home, embedded=False) as one, open_site(home, embedded=False) as two:
        yield one, two


async def over(served, run):
    async with asyncio.timeout(LIMIT):
        return (await served.life.updates(run))[-1].run


def nodes(view):
    return {attempt.node for each in view.steps for attempt in each.attempts}


async def test_a_runner_gets_steps_of_the_runs_of_both(home, far):
    home.write({"a": step(log="from a\n", write="a=1", then="b"), "b": step(log="from b\n", more={"retry": 1})})
    async with two_sites(home) as (one, two):
        await far.register(two)
        async with far.life():
            runs = [(await served.life.start(home)).id for served in (one, two) * 2]
            for run in runs:
                for served in (one, two):  # both show all of it, the one that does not drive the run, too
                    view = await over(served, run)
                    assert view.state == "succeeded"
                    assert nodes(view) == {"far"}
                    assert await served.life.log(run, "b", service="main") == b"from b\n"


async def test_what_happens_at_one_is_seen_at_the_other(home, far):
    """Phases, output and orders to stop go through whichever server they go."""
    home.write({"a": step(log="first\n", sleep=100_000)})
    async with two_sites(home) as (one, two):
        await far.register(two)
        async with far.life():
            run = (await one.life.start(home)).id
            await one.life.until(run, "a", "run")  # what the runner tells the other one
            await one.life.speaks(run, "a")
            watching = asyncio.create_task(two.life.updates(run))
            following = asyncio.create_task(one.life.log(run, "a", follow=True))
            await one.life.client.cancel(run)
            async with asyncio.timeout(LIMIT):
                assert (await watching)[-1].run.state == "cancelled"
                assert b"first\n" in await following
                signals = one.life.local.signals
                while True:  # what the other one forgets when it has the result is passed on after that
                    seen = signals.token(phase_topic(run))
                    if not one.life.local.runners.phases(run):
                        break
                    await signals.wait(phase_topic(run), seen)


async def test_what_happens_at_one_is_told_to_who_follows_the_other(home, far):
    """Lists of runners, deliveries and schedules that are on somebody's screen; see `services.news`."""

    async def told(following, topic):
        async with asyncio.timeout(LIMIT):
            while topic not in (await following.changed() or ()):
                pass

    home.write({"a": step()}, on={"schedule": [{"cron": "0 3 * * *"}]})
    async with two_sites(home) as (one, two):
        with one.backend.changes() as following:
            await far.register(two)
            await told(following, "runner:far")
            await two.add_project(home)
            await told(following, "schedules:project")
            hook = {"kind": "github", "name": "forge"}
            made = (await two.post("/api/v1/projects/project/hooks", "admin", json=hook)).json()
            sent = FORGES["github"](Push()).signed("github", made["secret"])
            await two.http.post("/hooks/project/forge", content=sent.body, headers=dict(sent.headers))
            await told(following, "deliveries:project")


async def test_what_is_taken_at_one_ends_the_streams_of_the_other(home):
    """Of who it was taken from; those of somebody else go on: see tests/unit/api/test_staying.py."""
    home.write({"a": step()})
    async with two_sites(home) as (one, two), AsyncExitStack() as stack:
        run = (await one.life.start(home)).id
        people = one.backend.people
        for served in (one, two):
            served.backend.authenticator = Principals(served.life.local.database, time, Lifetimes())

        def person(name):
            people.users.add(ROOT, name, GOOD, role="admin", change=UserChange())
            return people.accounts.login(name, GOOD, Browser("10.0.0.1"))

        async def follow(login, path):
            headers = {"Cookie": f"__Host-flow_session={login.cookie}"}
            return await stack.enter_async_context(two.http.stream("GET", path, headers=headers))

        ann, bob = [await asyncio.to_thread(person, name) for name in ("ann", "bob")]
        paths = ("/api/v1/events", f"/api/v1/runs/{run}/events", f"/api/v1/runs/{run}/steps/a/logs/stream")
        lost = [asyncio.create_task((await follow(ann, path)).aread()) for path in paths]
        kept = [asyncio.create_task((await follow(bob, path)).aread()) for path in paths]
        await asyncio.to_thread(people.users.change, ROOT, "ann", UserChange(disabled=True))
        async with asyncio.timeout(LIMIT):
            left = await asyncio.gather(*lost)
        assert not any(task.done() for task in kept)
        await one.life.client.cancel(run)
        async with asyncio.timeout(LIMIT):
            told = await asyncio.gather(*kept[1:])
    assert (b"event: end" in b"".join(left), [b"event: end" in each for each in told]) == (False, [True, True])


async def owned_by(served, run):
    """Return when a server drives a run."""
    local = served.life.local
    async with asyncio.timeout(LIMIT):
        while True:
            seen = local.signals.token("run:" + run)
            if await asyncio.to_thread(local.looking.owner, RunId(run)) == local.ownership.token:
                return
            await local.signals.wait("run:" + run, seen)


@pytest.mark.parametrize("driver", ["goes", "stays"])
async def test_a_runner_goes_on_with_the_other_one(home, far, driver):
    """The server that it speaks to goes; in the end the step has run once, with all of its output."""
    home.write({"a": step(log="first\n", sleep=1, write="a=1", then="b"), "b": step(log="from b\n")})
    gate = asyncio.Event()
    engine = DummyEngine(far.machine, sleep=lambda _seconds: gate.wait())
    async with open_site(home, embedded=False) as stays, AsyncExitStack() as stack:
        await far.register(stays)
        async with open_site(home, embedded=False) as goes:
            await stack.enter_async_context(far.life(urls=(goes.url, stays.url), engine=engine))
            run = (await (goes if driver == "goes" else stays).life.start(home)).id
            await goes.life.speaks(run, "a")
        await owned_by(stays, run)
        gate.set()
        view = await over(stays, run)
        assert view.state == "succeeded"
        assert {each.key: len(each.attempts) for each in view.steps} == {"a": 1, "b": 1}
        assert await stays.life.log(run, "a", service="main") == b"first\n"


async def test_a_run_of_a_directory_is_nothing_for_runners(home, far):
    """Its secrets are in the program that began it."""
    home.write({"a": step()})
    async with open_site(home, embedded=False) as served, home.life() as life:
        await far.register(served)
        async with far.life():
            mine, theirs = (await life.start(home)).id, (await served.life.start(home)).id
            assert nodes(await over(served, theirs)) == {"far"}
            assert nodes(await over(served, mine)) == {""}
