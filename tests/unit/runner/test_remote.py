"""The runner protocol over real HTTP: what a runner elsewhere is told, what it may do, and what it does without a server."""

import asyncio
import dataclasses
import uuid
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import httpx2
import pytest

from flowbuild.api.access import declared
from flowbuild.api.app import describe
from flowbuild.client import wire
from flowbuild.client.runner import AttemptResult, Beat, Facts, Held, Lease, LogEntry, Report, Stop
from flowbuild.core.cache import Origin
from flowbuild.core.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    LeaseLost,
    ServerUnreachable,
    Unauthenticated,
    UserError,
)
from flowbuild.core.states import Outcome, Reason
from flowbuild.runner import remote
from flowbuild.runner.remote import RemoteClient
from flowbuild.runner.servers import Servers
from flowbuild.services.decisions import QUEUE
from flowbuild.services.signals import Signals
from flowbuild.testing import site
from flowbuild.testing.home import LIMIT, Home, step
from flowbuild.workspace.repo import RunRepository

MATRIX = {"t": {**step(then="b"), "matrix": {"n": ["1", "2"]}}, "b": step(more={"secrets": ["KEY"]})}
FAR = f"far/{'1' * 16}"
FAILED = AttemptResult(Outcome.FAILED, Reason.EXIT_CODE, "it failed", 3, phases={"run": 1.5})
FACTS = Facts("1.0", "x86_64", "29", "2.40", 8, 1 << 34)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
def open_site(home):
    return partial(site.open_site, home, embedded=False)


async def registered(served, name="far"):
    """Register a runner; return its key."""
    code = (await served.post("/api/v1/runners/codes", "admin")).json()["code"]
    async with client(served, "") as stranger:
        made = await stranger.register(code, name, capacity=2, labels={"disk": "fast"}, facts=FACTS)
    return made.key


@asynccontextmanager
async def client(served, key, **options):
    made = RemoteClient(Servers([served.url]), key, **options)
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def runner(served, name="far", **options):
    async with client(served, await registered(served, name), **options) as made:
        yield made


async def claim(far, who=FAR, key="", wait=0.0):
    return await far.claim(who, request_key=key or uuid.uuid4().hex, wait=wait)


async def test_an_assignment_comes_as_it_would_in_the_process(home, open_site):
    home.write(MATRIX, variables={"V": "1"})
    async with open_site() as served, runner(served) as far:
        run = (await served.life.start(home, secrets={"KEY": "value of the secret"})).id
        key = uuid.uuid4().hex
        found = await claim(far, key=key)
        assert await claim(far, key=key) == found  # the answer was lost
        near = await served.life.local.runners.claim(FAR, request_key=key, wait=0)
        steps, told = near.facts["steps"], found.facts["steps"]
        assert (dict(told), len(told)) == (dict(steps), len(steps))
        assert told["t"] == steps["t"]  # the name of a step with a matrix stands for several
        with pytest.raises(KeyError):
            told["x"]
        assert {**found.facts, "steps": 0} == {**near.facts, "steps": 0}
        assert found.repository == f"/git/runs/{run}.git"
        assert (found.source_objects, found.token[:6]) == ((), "flowa_")
        for field in dataclasses.fields(near):
            if field.name not in ("facts", "repository", "source_objects", "token", "upcoming"):
                assert getattr(found, field.name) == getattr(near, field.name)


async def test_an_attempt_from_its_claim_to_its_result(home, open_site):
    home.write({"a": step(), "b": step()})
    async with open_site() as served, runner(served) as far:
        run = (await served.life.start(home)).id
        assert await far.hello(FAR, capacity=3, facts=FACTS) == []
        found = await claim(far)
        lease = found.lease
        assert await far.log_state(lease) == (0, {})
        await far.phase(lease, "pull")
        await served.life.until(run, lease.step, "pull")
        assert await far.cached(lease, "0" * 64) is None
        await far.launched(lease, {"services": {}})
        output = [LogEntry("main", "stdout", 5, b"\xff\x00 one\n"), LogEntry("main", "stderr", 7, "zwei ö\n".encode())]
        assert await far.append_log(lease, 0, output) == 15
        assert await far.append_log(lease, 0, output) == 15  # the answer was lost
        assert await far.log_state(lease) == (15, {"main": 7})
        other = f"far/{'2' * 16}"
        assert await far.hello(other, capacity=3, facts=FACTS) == [wire.Inherited(lease, launched=True)]
        await far.finish(lease, FAILED)
        await far.finish(lease, FAILED)  # the answer was lost
        ended = next(each for each in (await served.life.client.get(run)).steps if each.key == lease.step)
        assert (ended.outcome, ended.reason, ended.message) == ("failed", "exit_code", "it failed")
        assert ended.attempts[0].phases == {"run": 1.5}
        assert await served.life.log(run, lease.step) == b"\xff\x00 one\nzwei \xc3\xb6\n"
        (row,) = (await served.get("/api/v1/runners", "admin")).json()
        assert (row["name"], row["capacity"], row["facts"]["cpus"]) == ("far", 3, 8)


async def test_a_result_is_what_was_pushed(home, open_site):
    home.write({"a": step(then="b"), "b": step()})
    async with open_site() as served, runner(served) as far:
        run = (await served.life.start(home)).id
        first = await claim(far)
        commit = first.input_commit
        good = AttemptResult(Outcome.SUCCEEDED, exit_code=0, commit=commit, variables={"FORGED": "1"})
        for wrong in (good, dataclasses.replace(good, commit="f" * 64), dataclasses.replace(good, commit="x")):
            with pytest.raises(InvalidRequest, match="not what was pushed"):
                await far.finish(first.lease, wrong)
        path = (await served.life.client.get(run)).repository
        repository = await asyncio.to_thread(RunRepository.open, Path(path))
        await asyncio.to_thread(repository.write_attempt_ref, "a", 1, 1, commit)
        await far.finish(first.lease, good)
        assert (await claim(far)).variables == {}


async def test_orders_and_the_ends_of_runs(home, open_site):
    async with open_site() as served, runner(served) as far:
        run = (await served.life.start(home)).id
        lease = (await claim(far)).lease
        beating = asyncio.create_task(far.heartbeat(FAR, Report((Held(lease),)), wait=30.0))
        await served.life.client.cancel(run, force=True)
        async with asyncio.timeout(LIMIT):
            assert await beating == Beat((Stop(lease, force=True),))
        await far.finish(lease, AttemptResult(Outcome.CANCELLED))
        await served.life.updates(run)
        async with asyncio.timeout(LIMIT):
            while not (beat := await far.heartbeat(FAR, Report(), wait=30.0)).ended_runs:
                pass
        assert beat == Beat(ended_runs=(run,))
        await far.forgotten(FAR, run)
        assert await far.heartbeat(FAR, Report(), wait=0.0) == Beat()
        await served.post("/api/v1/runners/far/drain", "admin")
        assert await far.heartbeat(FAR, Report(), wait=0.0) == Beat(draining=True)
        await served.life.start(home)
        assert await claim(far) is None
        await served.post("/api/v1/runners/far/activate", "admin")
        assert (await claim(far)).lease.step == "a"


@pytest.fixture
def polls(monkeypatch):
    """Tells of each wait of the server for something to do when it begins and when it ends."""
    told, wait = asyncio.Queue(), Signals.wait

    async def telling(self, topic, *arguments):
        if topic != QUEUE:
            return await wait(self, topic, *arguments)
        told.put_nowait("begun")
        try:
            return await wait(self, topic, *arguments)
        finally:
            told.put_nowait("ended")

    monkeypatch.setattr(Signals, "wait", telling)
    return told


async def test_a_claim_waits_for_work(home, open_site):
    async with open_site() as served, runner(served) as far:
        claiming = asyncio.create_task(claim(far, wait=30.0))
        run = await served.life.start(home)
        async with asyncio.timeout(LIMIT):
            assert (await claiming).lease.run == run.id


async def test_a_claim_that_nobody_waits_for_takes_nothing(home, open_site, polls):
    """The runner died while it waited: its work is there for the others at once, not when a lease ran out."""
    async with open_site() as served, runner(served) as far, runner(served, "other") as other:
        claiming = asyncio.create_task(claim(far, wait=30.0))
        assert await polls.get() == "begun"
        claiming.cancel()
        await asyncio.gather(claiming, return_exceptions=True)
        async with asyncio.timeout(LIMIT):
            assert await polls.get() == "ended"
        await served.life.start(home)
        assert (await claim(other, f"other/{'1' * 16}")).lease.step == "a"


async def test_a_runner_touches_only_what_is_its_own(home, open_site):
    async with open_site() as served, runner(served) as far, runner(served, "other") as other:
        run = (await served.life.start(home)).id
        lease = (await claim(far)).lease
        result = AttemptResult(Outcome.SUCCEEDED)
        calls = [
            lambda who: who.cached(lease, "0" * 64),
            lambda who: who.launched(lease, {}),
            lambda who: who.healthy(lease, result),
            lambda who: who.append_log(lease, 0, [LogEntry("main", "stdout", 1, b"x")]),
            lambda who: who.log_state(lease),
            lambda who: who.finish(lease, result),
        ]
        for call in calls:
            with pytest.raises(LeaseLost):
                await call(other)
        with pytest.raises(LeaseLost):
            await other._ask("POST", f"{remote._path(lease)}/phase", wire.json({"phase": "forged"}))
        for call in (
            lambda: claim(other),
            lambda: other.heartbeat(FAR, Report(), wait=0.0),
            lambda: other.forgotten(FAR, run),
            lambda: other.hello(FAR, capacity=1, facts=FACTS),
        ):
            with pytest.raises(Forbidden):
                await call()
        assert (await other.heartbeat(f"other/{'1' * 16}", Report((Held(lease),)), wait=0.0)).stops
        assert (await served.life.client.get(run)).steps[0].attempts[0].phase == ""
        assert await far.log_state(lease) == (0, {})  # the control: whose it is may do all that


@pytest.mark.parametrize("who", ["", "flowr_" + "A" * 43, "admin", "developer"])
async def test_only_runners_speak_it(home, open_site, who):
    async with open_site() as served, client(served, who) as stranger:
        await served.life.start(home)
        lease = Lease("0" * 26, "a", 1, 1)
        for call in (
            lambda: claim(stranger),
            lambda: stranger.heartbeat(FAR, Report(), wait=0.0),
            lambda: stranger.log_state(lease),
            lambda: stranger.hello(FAR, capacity=1, facts=FACTS),
        ):
            with pytest.raises((Unauthenticated, Forbidden)):
                await call()


async def test_a_revoked_runner_is_a_stranger(open_site):
    async with open_site() as served, runner(served) as far:
        assert await claim(far) is None
        assert (await served.http.delete("/api/v1/runners/far", headers=served.as_("admin"))).status_code == 204
        with pytest.raises(Unauthenticated):
            await claim(far)


@pytest.mark.parametrize("who", ["viewer", "developer", "maintainer", "stranger"])
async def test_who_may_manage_runners(open_site, who):
    async with open_site() as served:
        await registered(served)
        for path in ("/codes", "/far/drain", "/far/activate"):
            assert (await served.post(f"/api/v1/runners{path}", who)).status_code == 403
        assert (await served.http.delete("/api/v1/runners/far", headers=served.as_(who))).status_code == 403
        assert (await served.get("/api/v1/runners", who)).status_code == 200
        assert (await served.http.get("/api/v1/runners")).status_code == 401


async def test_a_name_that_is_taken(open_site):
    async with open_site() as served, runner(served) as far:
        await far.hello(FAR, capacity=1, facts=FACTS)
        with pytest.raises(Conflict):
            await registered(served)
        with pytest.raises(InvalidRequest):
            await registered(served, "local")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/claim", b"{"),
        ("/claim", b"[]"),
        ("/claim", wire.json({"runner": "far", "request_key": "1" * 32})),
        ("/claim", wire.json({"runner": FAR, "request_key": "x" * 32})),
        ("/claim", wire.json({"runner": FAR, "request_key": "1" * 32, "wait": 1e9})),
        (
            "/claim",
            b'{"runner": "far/1111111111111111", "request_key": "11111111111111111111111111111111", "wait": NaN}',
        ),
        ("/heartbeat", wire.json({"runner": FAR, "report": {"held": [{"lease": {}}]}})),
        (
            "/heartbeat",
            wire.json(
                {
                    "runner": FAR,
                    "report": {"held": [{"lease": {"run": "", "step": "", "attempt": 1, "epoch": 1}, "stop": "x"}]},
                }
            ),
        ),
        ("/hello", wire.json({"runner": FAR, "capacity": "many"})),
        ("/register", wire.json({"code": "x"})),
        ("/attempts/x/y/1/1/phase", wire.json({"phase": "x"})),
        ("/attempts/x/y/99999999999999999999/1/launched", b""),
        ("/attempts/x/y/one/1/launched", b""),
        ("/attempts/%ff/%00/1/1/launched", b""),
        ("/attempts/x/y/1/1/finish", wire.json({"outcome": "splendid"})),
    ],
)
async def test_nonsense_is_refused(home, open_site, path, body):
    async with open_site() as served:
        key = await registered(served)
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        answer = await served.http.post(f"/api/v1/runner{path}", content=body, headers=headers)
        assert 400 <= answer.status_code < 500
        assert answer.headers["content-type"] == "application/problem+json"


async def test_nonsense_about_a_lease_of_ones_own(home, open_site):
    async with open_site() as served, runner(served) as far:
        await served.life.start(home)
        path = remote._path((await claim(far)).lease)
        for verb, body in (
            ("finish", {"outcome": "splendid"}),
            ("finish", {"outcome": "failed", "exit_code": "x"}),
            ("log", {"offset": -1, "entries": []}),
            ("log", {"offset": 0, "entries": [["main", "stdout", 1, "not base64!"]]}),
            ("log", {"offset": 0, "entries": [["main", "stdout", 1]]}),
            ("log", {"offset": 9, "entries": [["main", "stdout", 1, "eA=="]]}),
            ("phase", {}),
        ):
            with pytest.raises(UserError):
                await far._ask("POST", f"{path}/{verb}", wire.json(body))


async def test_bodies_are_bounded(open_site):
    async with open_site() as served:
        headers = {"Authorization": f"Bearer {await registered(served)}", "Content-Type": "application/json"}
        body = wire.heartbeat.dump_json(wire.Heartbeat(FAR, Report()))
        path = "/api/v1/runner/heartbeat"
        answer = await served.http.post(path, content=body.ljust(wire.BODY_MAX), headers=headers)
        assert answer.status_code == 200
        status = None
        with suppress(httpx2.WriteError, httpx2.ReadError):  # the server may hang up before it was read
            status = (await served.http.post(path, content=body.ljust(wire.BODY_MAX + 1), headers=headers)).status_code
        assert status in (None, 413)


def test_output_is_split_into_requests():
    small = [LogEntry("s", "stdout", 1, b"x")] * (wire.LOG_ENTRIES + 1)
    assert [len(part) for part in wire.pieces(small)] == [wire.LOG_ENTRIES, 1]
    large = [LogEntry("s", "stdout", 1, b"x" * (wire.LOG_BYTES - 1))] * 3
    assert [len(part) for part in wire.pieces(large)] == [1, 1, 1]
    assert list(wire.pieces([])) == []
    assert len(wire.dump_log(0, large[:1])) < wire.BODY_MAX


def test_a_result_survives_the_wire():
    result = AttemptResult(
        *(Outcome.SUCCEEDED, None, "m", 0, "c" * 64, {"V": "ü"}, {"run": 0.1}, {"A": 1}, {"i": "sha256:1"}),
        cached=Origin("r", 1, "s", 1, 2.5),
    )
    assert wire.result.validate_json(wire.result.dump_json(result)) == result


class Flaky(httpx2.AsyncHTTPTransport):
    """A way to the server that fails as it is told, before or after the request got through."""

    def __init__(self, faults):
        super().__init__()
        self.faults = list(faults)

    async def handle_async_request(self, request):
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "unreached":
            raise httpx2.ConnectError("nobody there")
        if fault in ("502", "503", "504", "429"):
            return httpx2.Response(int(fault), content=b"<html>a proxy</html>")
        answer = await super().handle_async_request(request)
        if fault == "unanswered":
            await answer.aread()
            raise httpx2.ReadError("cut off")
        return answer


FAULTS = ["unreached", "unanswered", "503", "unanswered", "502", "429", "504"]


async def test_what_may_be_repeated_is_repeated_while_the_server_is_away(home, open_site):
    naps = []

    async def sleep(seconds):
        naps.append(seconds)

    async with open_site() as served:
        run = (await served.life.start(home)).id
        key = await registered(served)
        way = Flaky([])
        async with client(served, key, transport=way, sleep=sleep) as far:
            lease = (await claim(far)).lease
            for call in (
                lambda: far.log_state(lease),
                lambda: far.cached(lease, "0" * 64),
                lambda: far.launched(lease, {"services": {}}),
                lambda: far.append_log(lease, 0, [LogEntry("main", "stdout", 1, b"once")]),
                lambda: far.finish(lease, FAILED),
            ):
                way.faults = list(FAULTS)
                await call()
                assert way.faults == []
        assert len(naps) == 5 * len(FAULTS)
        assert all(seconds <= remote.RETRY_MOST for seconds in naps)
        view = await served.life.client.get(run)
        assert [attempt.outcome for attempt in view.steps[0].attempts] == ["failed"]
        assert await served.life.log(run, "a") == b"once"


async def test_without_a_server_patience_ends(open_site):
    passed = 0.0

    async def sleep(seconds):
        nonlocal passed
        passed += seconds

    async with open_site() as served, client(served, "x", transport=Flaky(["unreached"] * 10_000), sleep=sleep) as far:
        with pytest.raises(ServerUnreachable, match="nobody there"):
            await far.launched(Lease("r", "a", 1, 1), {})
        assert remote.PATIENCE <= passed <= remote.PATIENCE + remote.RETRY_MOST
        for call in (lambda: claim(far), lambda: far.heartbeat(FAR, Report(), wait=0.0)):
            before = passed
            with pytest.raises(ServerUnreachable):
                await call()
            assert passed == before  # the worker asks again anyway


async def test_a_server_that_accepts_and_never_answers():
    accepted = []
    silent = await asyncio.start_server(lambda _reader, writer: accepted.append(writer), "127.0.0.1", 0)
    async with silent:
        url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        far = RemoteClient(Servers([url]), "x", deadline=0.05)
        with pytest.raises(ServerUnreachable):
            await claim(far)
        await far.close()
        assert len(accepted) == 1
        for writer in accepted:
            writer.close()
            await writer.wait_closed()


@pytest.mark.parametrize("body", [b"", b"hello", b"[]", b'{"stops": 7}'])
async def test_answers_of_something_else(body):
    transport = httpx2.MockTransport(lambda _request: httpx2.Response(200, content=body))
    far = RemoteClient(Servers(["http://far.example"]), "x", transport=transport)
    with pytest.raises(ServerUnreachable, match="no answer of a flow server"):
        await far.heartbeat(FAR, Report(), wait=0.0)
    await far.close()


async def test_a_server_that_stops_lets_go_of_who_waits(open_site, polls):
    async with open_site() as served, runner(served) as far:
        claiming = asyncio.create_task(claim(far, wait=30.0))
        assert await polls.get() == "begun"
        served.backend.stop.set()
        with pytest.raises(ServerUnreachable, match="stops"):
            await claiming


async def test_the_newest_phase_is_told(home, open_site):
    async with open_site() as served, runner(served) as far:
        run = (await served.life.start(home)).id
        lease = (await claim(far)).lease
        for phase in ("fetch", "checkout", "pull", "create", "run"):
            await far.phase(lease, phase)
        await served.life.until(run, "a", "run")


def test_every_call_declares_who_may():
    found = {route.path: permission.action for route, permission in declared(describe())}
    calls = {path for path in found if path.startswith("/api/v1/runner/")}
    assert len(calls) == 12
    assert {path for path in calls if found[path] is None} == {"/api/v1/runner/register"}
    assert {str(found[path]) for path in calls} == {"None", "runner.work"}
