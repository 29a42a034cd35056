"""Whatever changes in a list that people look at is told to those who follow."""

import asyncio

import pytest

from flowbuild.auth.tokens import TokenKind, new_token
from flowbuild.client.base import StartRequest
from flowbuild.client.runner import AttemptResult, Facts
from flowbuild.core.states import Outcome
from flowbuild.forges import forge_of
from flowbuild.services.audit import Actor
from flowbuild.services.hooks import HookService
from flowbuild.services.leases import Leases
from flowbuild.services.missed import Missed
from flowbuild.services.news import FOLLOWED
from flowbuild.services.registration import Registration
from flowbuild.services.runner_keys import RunnerKeys
from flowbuild.services.schedules import ScheduleService
from flowbuild.services.signals import Signals
from flowbuild.spec.load import load_pipelines
from flowbuild.spec.source import MemoryRepository
from flowbuild.testing.home import Home, step
from flowbuild.testing.payloads import Delivery, Push, Request
from flowbuild.testing.receiving import HOOK, PROJECT, Receiving
from flowbuild.testing.triggers import PlainSealer, StoringStarter, add_project, pipeline_file

ANN = Actor("ann")
DELIVERIES, SCHEDULES = f"deliveries:{PROJECT}", f"schedules:{PROJECT}"
FORK = Request("opened", source="mallory/app")


def telling(signals, work, *arguments, **options):
    """Return what followers hear of some work, runs left out, and what it returned. Blocking."""

    async def heard():
        with signals.follow(*FOLLOWED) as following:
            found = await asyncio.to_thread(work, *arguments, **options)
            signals.notify("run:end")
            return {topic for topic in await following.changed() if not topic.startswith("run:")}, found

    return asyncio.run(heard())


@pytest.fixture
def server(tmp_path):
    made = Receiving(tmp_path)
    yield made
    made.database.close()


class TestDeliveries:
    def test_one_that_came_and_what_followed(self, server):
        heard, receipt = telling(server.signals, server.receive, Push())
        assert heard == {DELIVERIES}
        assert telling(server.signals, server.work)[0] == {DELIVERIES}
        assert server.get(receipt).state == "done"
        assert telling(server.signals, server.receive, Push())[0] == set(), "it was here before"
        assert telling(server.signals, server.work)[0] == set()

    def test_one_that_starts_nothing(self, server):
        ping = Delivery({"x-github-event": "ping", "x-github-delivery": "p"}, b'{"zen": "x"}')
        assert telling(server.signals, server.receive, ping)[0] == {DELIVERIES}

    def test_one_that_is_approved(self, server):
        receipt = server.receive(FORK)
        server.work()
        commit = server.get(receipt).result["commit"]
        assert telling(server.signals, server.deliveries.approve, ANN, PROJECT, receipt.id, commit)[0] == {DELIVERIES}

    def test_one_that_is_taken_again(self, server):
        server.starter.script.files = {".flow.yml": "nonsense"}
        receipt = server.receive(Push())
        server.work()
        assert telling(server.signals, server.deliveries.again, ANN, PROJECT, receipt.id)[0] == {DELIVERIES}

    def test_one_that_was_missed(self, server):
        hook = server.hooks.find(PROJECT, HOOK)
        missed = Missed(server.database, server.signals, server.clock)
        sent = server.signed(Push(), server.secret)
        (event,) = forge_of("github", HOOK).parse(sent.headers, sent.body).events
        assert telling(server.signals, missed.store, hook, "refs/heads/main", event, None)[0] == {DELIVERIES}
        assert telling(server.signals, missed.store, hook, "refs/heads/main", event, None)[0] == set()

    def test_those_of_a_webhook_that_is_removed(self, server):
        projects = []
        hooks = HookService(server.database, PlainSealer(), server.clock, projects.append)
        hooks.remove(ANN, PROJECT, HOOK)
        assert projects == [PROJECT]


def test_schedules(tmp_path, clock, database):
    signals = Signals()
    add_project(database, PROJECT)
    starter = StoringStarter(database, signals, clock)
    service = ScheduleService(
        database=database, starter=starter, signals=signals, clock=clock, default_branch=lambda _project: "main"
    )
    starter.script.files = pipeline_file({"night": '{schedule: {cron: "0 3 * * *"}}'})
    pipelines = load_pipelines(MemoryRepository(starter.script.files)).pipelines
    assert telling(signals, service.take_over, PROJECT, pipelines.values())[0] == {SCHEDULES}
    for paused in (True, False):
        assert telling(signals, service.pause, ANN, PROJECT, "night", 0, paused=paused)[0] == {SCHEDULES}
    assert telling(signals, service.run, PROJECT)[0] == set(), "none is due"
    clock.now += 86_400
    assert telling(signals, service.run, PROJECT)[0] == {SCHEDULES}
    assert service.list(PROJECT)[0].row.last_run


def test_runners_that_come_change_and_go(database, clock):
    signals = Signals()
    registration, keys = Registration(database, signals, clock), RunnerKeys(database, signals, clock)
    code, facts = registration.invite(ANN).code, Facts("1", "x")
    heard, made = telling(signals, registration.register, code, "one", capacity=1, labels={}, facts=facts, address="")
    assert heard == {"runner:one"}
    assert telling(signals, registration.hello, "one/1", capacity=2, facts=facts)[0] == {"runner:one"}
    assert telling(signals, registration.heard, "one")[0] == set(), "it was heard of just now"
    key = new_token(TokenKind.RUNNER)
    assert telling(signals, keys.rotate, "one", ANN)[0] == {"runner:one"}
    keys.announce("one", key)
    assert telling(signals, keys.principal, made.key)[0] == set()
    assert telling(signals, keys.principal, key)[0] == {"runner:one"}
    for change in (registration.drain, registration.activate, registration.revoke):
        assert telling(signals, change, "one", ANN)[0] == {"runner:one"}


@pytest.fixture
async def working(tmp_path):
    """A server with a runner `one` that has an attempt, another one waits; yields its services and the lease."""
    home = Home(tmp_path)
    home.write({"a": step(), "b": step()})
    local = await asyncio.to_thread(home.local, drive=True, serve=True)
    try:
        registration = Registration(local.database, local.signals, lambda: 1.0)
        code = (await asyncio.to_thread(registration.invite, ANN)).code
        more = {"capacity": 1, "labels": {}, "facts": Facts("1", "x"), "address": ""}
        await asyncio.to_thread(registration.register, code, "one", **more)
        await asyncio.to_thread(registration.embed, 1, Facts())
        await asyncio.to_thread(local.runs.start, StartRequest(str(home.project)), by=ANN)
        yield local, (await local.runners.claim("one/1", request_key="k", wait=0)).lease
    finally:
        local.ownership.release()
        local.close()


async def test_work_that_runners_get_and_end(working):
    local, lease = working
    with local.signals.follow("runner:") as following:
        await local.runners.claim("local/1", request_key="l", wait=0)
        assert await following.changed() == {"runner:local"}
        await local.runners.finish(lease, AttemptResult(Outcome.FAILED, exit_code=1))
        assert await following.changed() == {"runner:one"}


async def test_work_that_a_silent_runner_loses(working):
    local, _ = working
    leases = Leases(database=local.database, decisions=local.decisions, owner=local.ownership.token, clock=lambda: 1e12)
    with local.signals.follow("runner:") as following:
        await asyncio.to_thread(leases.expire)
        assert await following.changed() == {"runner:one"}
