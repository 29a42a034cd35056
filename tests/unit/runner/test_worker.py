"""What a runner says to its server, and what it does when it hears nothing."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest

from flowbuild.client.runner import EXCLUSIVE_SECONDS, Assignment, Beat, Lease, Stop
from flowbuild.core.errors import ServerUnreachable, Unauthenticated
from flowbuild.core.model import Environment, Position, Step
from flowbuild.runner import worker as module
from flowbuild.runner.spool import Spool
from flowbuild.runner.tools import RunnerPlaces
from flowbuild.runner.worker import STOP_SECONDS, Worker
from flowbuild.testing.engine import DummyEngine, Machine
from flowbuild.testing.home import LIMIT
from flowbuild.workspace.slots import Slots

LEASE = Lease("r", "a", 1, 1)
STEP = Step("a", "a", Position("f", 1, 1))
WORK = Assignment(LEASE, "leased", STEP, "", "", (), {}, {}, {}, {}, {})


class Server:
    """A server that answers what it is told to, or raises it; each question is told in `keys` and `reports`."""

    def __init__(self, *claims):
        self.heard = False  # the first heartbeat was
        self.claims, self.beats, self.keys, self.reports = (asyncio.Queue() for _ in range(4))
        for claim in claims:
            self.claims.put_nowait(claim)

    async def claim(self, _runner, *, request_key, **_):
        self.keys.put_nowait(request_key)
        return await self.answer(self.claims)

    async def heartbeat(self, _runner, report, **_):
        self.reports.put_nowait(report)
        return await self.answer(self.beats)

    async def answer(self, answers):
        answer = await answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def told(self, *answers):
        """Answer heartbeats, one after another; return what is reported after each of them."""
        if not self.heard:
            await self.reports.get()
            self.heard = True
        reports = []
        for answer in answers:
            self.beats.put_nowait(answer)
            reports.append(await self.reports.get())
        return reports


class Attempts:
    """Stands in for runner.attempt.Attempt: works until it is let go."""

    def __init__(self):
        self.all = {}

    def __call__(self, assignment, _tools, free, rest):
        made = SimpleNamespace(assignment=assignment, free=free, rest=rest, stopping="", go=asyncio.Event())

        def stop(*, force):
            made.stopping = "force" if force else "graceful"

        made.stop, made.run = stop, made.go.wait
        self.all[assignment.lease] = made
        return made


@pytest.fixture
def attempts(monkeypatch):
    made = Attempts()
    monkeypatch.setattr(module, "Attempt", made)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    return made


@pytest.fixture
def make(tmp_path):
    def make(server, **options):
        return Worker(
            name="one/1",
            client=server,
            engine=DummyEngine(options.pop("machine", None) or Machine()),
            places=RunnerPlaces(tmp_path / "work", "i"),
            spool=Spool(tmp_path / "spool"),
            slots=Slots(tmp_path / "work"),
            capacity=2,
            **options,
        )

    return make


@asynccontextmanager
async def running(worker):
    task = asyncio.create_task(worker.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_claim_whose_answer_was_lost_is_asked_again_with_its_key(attempts, make):
    server = Server(ServerUnreachable("away"), ServerUnreachable("away"), None, WORK)
    async with running(make(server)), asyncio.timeout(LIMIT):
        keys = [await server.keys.get() for _ in range(5)]
    assert keys[0] == keys[1] == keys[2]
    assert len(set(keys[2:])) == 3
    assert list(attempts.all) == [LEASE]


async def test_a_report_says_what_it_does_and_what_it_obeys(attempts, make):
    server = Server(WORK)
    async with running(make(server)), asyncio.timeout(LIMIT):
        await server.keys.get()
        await server.keys.get()  # the first was answered
        orders = [Beat((Stop(LEASE, force=force),)) for force in (False, True)]
        reports = await server.told(Beat(), *orders)
    assert [{held.lease: held.stop for held in report.held} for report in reports] == [
        {LEASE: ""},
        {LEASE: "graceful"},
        {LEASE: "force"},
    ]


async def test_an_order_that_comes_before_its_assignment_is_obeyed(attempts, make):
    server = Server()
    async with running(make(server)), asyncio.timeout(LIMIT):
        await server.told(Beat((Stop(LEASE, force=True),)))
        server.claims.put_nowait(WORK)
        await server.keys.get()
        await server.keys.get()  # the first was answered
        assert attempts.all[LEASE].stopping == "force"


@pytest.mark.parametrize(
    ("silent", "stopped"), [(EXCLUSIVE_SECONDS - STOP_SECONDS, ""), (EXCLUSIVE_SECONDS - STOP_SECONDS + 1, "force")]
)
async def test_what_is_exclusive_is_stopped_before_others_may_take_it_over(
    attempts, make, monkeypatch, silent, stopped
):
    now = 1000.0
    monkeypatch.setattr(module, "_boot_time", lambda: now)
    other = Lease("r", "b", 1, 1)
    exclusive = replace(WORK, lease=other, step=replace(STEP, environment=Environment("qa")))
    server = Server(WORK, exclusive)
    async with running(make(server)), asyncio.timeout(LIMIT):
        await server.told(Beat())
        now += silent
        await server.told(ServerUnreachable("away"))
        assert attempts.all[other].stopping == stopped
        assert attempts.all[LEASE].stopping == ""  # others may overlap: one of them counts


async def test_it_shows_itself_also_when_the_server_is_away(attempts, make):
    shown = []
    server = Server()
    async with running(make(server, alive=lambda: shown.append(1))), asyncio.timeout(LIMIT):
        await server.told(ServerUnreachable("away"), ServerUnreachable("away"))
        assert len(shown) == 3


async def test_a_drained_worker_ends_when_it_has_nothing_left(attempts, make):
    server = Server(WORK)
    worker = make(server)
    async with running(worker) as task, asyncio.timeout(LIMIT):
        await server.keys.get()
        await server.keys.get()  # the first was answered
        await server.told(Beat(draining=True))
        assert not task.done()
        attempts.all[LEASE].go.set()
        await task
    assert worker.drained


async def test_a_worker_that_is_not_known_any_more_ends_what_it_does(attempts, make):
    server = Server(WORK)
    worker = make(server)
    async with running(worker) as task, asyncio.timeout(LIMIT):
        await server.keys.get()
        await server.keys.get()  # the first was answered
        await server.told(Unauthenticated("revoked"))
        assert attempts.all[LEASE].stopping == "force"
        assert not task.done()
        attempts.all[LEASE].go.set()
        await task
    assert worker.drained
    assert worker.refused.message == "revoked"


@pytest.mark.parametrize("picky", [True, False])
async def test_without_its_engine_a_picky_one_asks_for_nothing(attempts, make, monkeypatch, picky):
    """It would lose all that waits, one after another."""
    server, machine, away = Server(), Machine(), asyncio.Event()
    machine.reachable = False
    monkeypatch.setattr(module.log, "error", lambda event: away.set() if event == "engine_away" else None)
    async with running(make(server, machine=machine, picky=picky)), asyncio.timeout(LIMIT):
        if not picky:
            await server.keys.get()
            return
        await away.wait()
        assert server.keys.empty()
        machine.reachable = True
        await server.keys.get()


async def test_told_to_end_it_asks_whether_its_machine_is_being_drained(attempts, make):
    server = Server()
    worker = make(server)
    for answer, finishes in ((Beat(), False), (ServerUnreachable("away"), False), (Beat(draining=True), True)):
        server.beats.put_nowait(answer)
        assert await worker.is_to_finish() is finishes
    assert worker.drained  # it had nothing


async def test_told_to_end_it_does_not_wait_for_a_server_that_does_not_answer(attempts, make, monkeypatch):
    """As after a partition, when the next life is to end what counts no more."""
    monkeypatch.setattr("flowbuild.runner.worker.ASK_SECONDS", 0.01)
    worker = make(Server())
    async with asyncio.timeout(LIMIT):
        assert await worker.is_to_finish() is False
