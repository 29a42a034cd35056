"""Forges are kept informed about runs until these are final: at least once, and the last word is the last."""

import asyncio
from contextlib import asynccontextmanager

import httpx2
import pytest
import structlog

from flowbuild.core.errors import ForgeError
from flowbuild.core.events import AttemptFinished, AttemptStarted, CancelRequested
from flowbuild.core.sources import SourceEvent, SourceKind
from flowbuild.core.states import Outcome
from flowbuild.forges.client import ForgeClient
from flowbuild.services import statuses
from flowbuild.services.audit import Actor
from flowbuild.services.hooks import HookChange, HookService
from flowbuild.services.notices import AFTER, STATUS, status_notice
from flowbuild.services.signals import Signals
from flowbuild.services.starter import Cause
from flowbuild.services.statuses import TRIES, StatusService
from flowbuild.testing.databases import new_sqlite
from flowbuild.testing.forge import TOKEN, forge
from flowbuild.testing.triggers import Clock, PlainSealer, StoringStarter, add_project, pipeline_file
from flowbuild.triggers.statuses import Statuses

ANN = Actor("ann")
PROJECT = "team/app"
EVENT = SourceEvent(SourceKind.PUSH, branch="main", commit="b" * 40, repository=PROJECT)


@pytest.fixture(autouse=True)
def logs():
    """What is logged here; other tests leave a log behind whose file is closed."""
    with structlog.testing.capture_logs() as captured:
        yield captured


class Server:
    def __init__(self, path, api_url, kind="github"):
        self.database = new_sqlite(path / "flow.db")
        self.clock, self.signals = Clock(), Signals()
        add_project(self.database, PROJECT)
        self.starter = StoringStarter(self.database, self.signals, self.clock)
        self.starter.script.files = pipeline_file({"build": "push"})
        self.hooks = HookService(self.database, PlainSealer(), self.clock)
        self.hook, _ = self.hooks.add(ANN, PROJECT, kind, "forge", HookChange(token=TOKEN, api_url=api_url))
        self.service = StatusService(
            database=self.database, hooks=self.hooks, link=lambda row: f"https://flow/{row.number}", clock=self.clock
        )

    def begin(self):
        """Begin a run that a delivery asked for."""
        run = self.starter.start(PROJECT, "build", EVENT, {}, Cause(f"key {self.clock()}"))
        with self.database.write() as tx:
            tx.notices.add(status_notice(run, self.hook, EVENT, self.clock()))
        self.signals.notify(STATUS)
        return run

    def apply(self, run, *events):
        self.clock.pass_(1)
        self.starter.decisions.apply(run, *events)

    def notices(self, run):
        with self.database.read() as tx:
            return [notice for notice in tx.notices.of_run(run) if notice.kind == STATUS]


@asynccontextmanager
async def telling(server):
    async with httpx2.AsyncClient() as http:
        client = ForgeClient(http, lambda _host, _addresses: None)
        trigger = Statuses(service=server.service, client=client, signals=server.signals, clock=server.clock)
        task = asyncio.create_task(trigger.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def place(tmp_path):
    async with forge() as made:
        server = await asyncio.to_thread(Server, tmp_path, made.api_url("github"))
        yield made, server
        server.database.close()


def short(told):
    return [(each.state, each.description) for each in told]


async def test_a_run_from_its_beginning_to_its_end(place):
    made, server = place
    async with telling(server):
        run = await asyncio.to_thread(server.begin)
        first = await made.told(1)
        await asyncio.to_thread(server.apply, run, AttemptFinished("a", 1, 1, Outcome.FAILED))
        told = await made.told(2)
    assert short(told) == [("pending", "run 1 is running"), ("failure", "run 1 failed: a")]
    assert (first[0].commit, first[0].context, first[0].url) == ("b" * 40, "flow/build", "https://flow/1")


async def test_what_an_earlier_life_did_not_tell(place):
    made, server = place
    run = await asyncio.to_thread(server.begin)
    await asyncio.to_thread(server.apply, run, AttemptFinished("a", 1, 1, Outcome.SUCCEEDED))
    async with telling(server):
        told = await made.told(1)
    assert short(told) == [("success", "run 1 succeeded")]


async def test_a_cancelled_run_has_not_failed(place):
    made, server = place
    async with telling(server):
        run = await asyncio.to_thread(server.begin)
        await asyncio.to_thread(server.apply, run, AttemptStarted("a", 1, 1), CancelRequested("ann"))
        await asyncio.to_thread(server.apply, run, AttemptFinished("a", 1, 1, Outcome.CANCELLED))
        while (told := await made.told(1))[-1].state == "pending":
            await made.told(len(told) + 1)
    assert made.statuses[-1].state == "error"
    assert "cancelled" in made.statuses[-1].description


async def test_a_forge_that_is_away_is_told_later(place, monkeypatch, logs):
    monkeypatch.setattr(statuses, "PAUSE", 0.0)
    made, server = place
    made.answers = [503, 502]
    async with telling(server):
        await asyncio.to_thread(server.begin)
        await made.told(1)
    assert made.calls == 3
    assert [(log["tries"], log["again"]) for log in logs] == [(1, True), (2, True)]


def test_not_for_ever_and_anew_when_the_run_changes(tmp_path):
    server = Server(tmp_path, "https://forge.invalid")
    run = server.begin()
    for _ in range(TRIES):
        (telling_,), _ = server.service.due()
        server.service.failed(telling_, ForgeError("away", lasting=False))
        server.clock.pass_(3600)
    assert server.service.due() == ([], None)
    assert server.notices(run)[0].error == "away"
    server.apply(run, AttemptFinished("a", 1, 1, Outcome.SUCCEEDED))
    (telling_,), _ = server.service.due()
    assert telling_.status.description == "run 1 succeeded"
    server.database.close()


def test_a_lasting_no_is_not_repeated(tmp_path):
    server = Server(tmp_path, "https://forge.invalid")
    run = server.begin()
    (telling_,), _ = server.service.due()
    server.service.failed(telling_, ForgeError("401", lasting=True))
    server.clock.pass_(10_000)
    assert server.service.due() == ([], None)
    assert server.notices(run)[0].error == "401"
    server.database.close()


def test_a_change_while_the_last_news_are_told_is_not_lost(tmp_path):
    server = Server(tmp_path, "https://forge.invalid")
    run = server.begin()
    (running,), _ = server.service.due()
    server.apply(run, AttemptFinished("a", 1, 1, Outcome.SUCCEEDED))
    assert server.service.due()[0] == []  # somebody is at it: nobody else tells the end before the beginning is told
    server.service.told(running)
    (end,), _ = server.service.due()
    assert end.status.description == "run 1 succeeded"
    server.service.told(end)
    assert server.notices(run) == []
    server.database.close()


def test_the_same_news_are_told_once(tmp_path):
    server = Server(tmp_path, "https://forge.invalid")
    run = server.begin()
    server.service.told(server.service.due()[0][0])
    with server.database.write() as tx:
        tx.notices.touch(run, server.clock())
    assert server.service.due() == ([], None)
    server.database.close()


def test_who_dies_while_telling_is_followed_by_another(tmp_path):
    server = Server(tmp_path, "https://forge.invalid")
    server.begin()
    (telling_,), _ = server.service.due()
    nothing, next_at = server.service.due()
    assert (nothing, next_at > server.clock()) == ([], True)
    server.clock.now = next_at
    assert [each.notice.run for each in server.service.due()[0]] == [telling_.notice.run]
    server.database.close()


def test_a_webhook_that_is_gone_or_has_no_token_is_told_nothing(tmp_path):
    server = Server(tmp_path, "https://forge.invalid")
    first, second = server.begin(), None
    server.clock.pass_(1)
    server.hooks.change(ANN, PROJECT, "forge", HookChange(token=""))
    assert server.service.due() == ([], None)
    assert server.notices(first) == []
    second = server.begin()
    server.hooks.remove(ANN, PROJECT, "forge")
    assert server.service.due() == ([], None)
    assert server.notices(second) == []
    server.database.close()


def test_runs_of_directories_have_nobody_to_tell(tmp_path):
    server = Server(tmp_path, "https://forge.invalid")
    server.clock.pass_(1)
    run = server.starter.start("a directory", "build", EVENT, {}, Cause("other"))
    server.apply(run, AttemptFinished("a", 1, 1, Outcome.SUCCEEDED))
    ours = server.begin()
    server.apply(ours, AttemptFinished("a", 1, 1, Outcome.SUCCEEDED))
    with server.database.read() as tx:
        assert tx.notices.of_run(run) == []
        assert sorted(notice.kind for notice in tx.notices.of_run(ours)) == [AFTER, STATUS]
    server.database.close()
