"""A runner that is somebody else's now: what it may say is bounded, and whatever it says the server goes on."""

import asyncio
import base64
import json
import uuid
from functools import partial

import pytest

from flowbuild.testing import site
from flowbuild.testing.home import LIMIT, Home, step

FAR, LATER = f"far/{'1' * 16}", f"far/{'2' * 16}"
LEASE = "/api/v1/runner/attempts/{run}/{step}/{attempt}/{epoch}"


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
def open_site(home):
    return partial(site.open_site, home, embedded=False)


class Hostile:
    """The key of a runner in the wrong hands."""

    def __init__(self, served, key):
        self.served = served
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    async def post(self, path, body):
        content = body if isinstance(body, str | bytes) else json.dumps(body)
        return await self.served.http.post(path, headers=self.headers, content=content)

    async def claim(self, who=FAR):
        body = {"runner": who, "request_key": uuid.uuid4().hex, "wait": 0}
        answer = await self.post("/api/v1/runner/claim", body)
        assert answer.status_code in (200, 204), answer.text
        return LEASE.format(**answer.json()["lease"]) if answer.status_code == 200 else None


async def hostile(served, name="far"):
    code = (await served.post("/api/v1/runners/codes", "admin")).json()["code"]
    body = {"code": code, "name": name, "capacity": 2}
    return Hostile(served, (await served.http.post("/api/v1/runner/register", json=body)).json()["key"])


RESULTS = {
    "without a commit": {"outcome": "succeeded"},
    "not a number": '{"outcome": "failed", "phases": {"run": NaN}}',
    "infinity": '{"outcome": "failed", "phases": {"run": Infinity}}',
    "a large exit code": {"outcome": "failed", "exit_code": 1 << 70},
    "an exit code of 32 bits": {"outcome": "failed", "exit_code": 1 << 31},
    "half a character": '{"outcome": "failed", "message": "\\ud800"}',
    "zeros": {"outcome": "failed", "message": "a\0b", "images": {"a\0": "b\0"}},
    "a long message": {"outcome": "failed", "message": "m" * 900_000},
    "many phases": {"outcome": "failed", "phases": {f"phase {n}": 1.0 for n in range(20_000)}},
    "negative changes": {"outcome": "failed", "changes": {"A": -1, "X" * 1000: 1 << 80}},
    "skipped": {"outcome": "skipped"},
    "of somebody else": {"outcome": "failed", "cached": {"run": "x", "number": -1, "project": "p", "step": "s"}},
    "variables": {"outcome": "failed", "variables": {"PATH": "/evil", "a\0": "b"}},
    "another commit": {"outcome": "succeeded", "commit": "0" * 64},
    "no commit": {"outcome": "succeeded", "commit": "../../x"},
}


@pytest.mark.parametrize("kind", RESULTS)
async def test_results(home, open_site, kind):
    """The run ends, and can be looked at; nothing is an error of the server."""
    home.write({"a": step(then="b"), "b": step()})
    async with open_site() as served:
        far = await hostile(served)
        run = (await served.life.start(home)).id
        lease = await far.claim()
        answer = await far.post(f"{lease}/finish", RESULTS[kind])
        assert answer.status_code < 500, answer.text
        taken = answer.status_code == 204
        view = (await served.get(f"/api/v1/projects/project/runs/{run}")).raise_for_status().text
        assert len(view) < 50_000
        assert "evil" not in view
        if taken:
            async with asyncio.timeout(LIMIT):
                while (other := await far.claim()) is not None:
                    await far.post(f"{other}/finish", {"outcome": "failed"})
                assert (await served.life.updates(run))[-1].run.state in ("failed", "errored")


def entry(service="main", stream="stdout", time_ns=1, data=b"x"):
    return [service, stream, time_ns, base64.b64encode(data).decode()]


LOGS = {
    "no such stream": {"offset": 0, "entries": [entry(stream="x")]},
    "before all time": {"offset": 0, "entries": [entry(time_ns=-(1 << 63) - 1)]},
    "after all time": {"offset": 0, "entries": [entry(time_ns=1 << 63)]},
    "a service with a long name": {"offset": 0, "entries": [entry("s" * 100_000)]},
    "a service with half a name": '{"offset": 0, "entries": [["\\ud800", "stdout", 1, "eA=="]]}',
    "many services": {"offset": 0, "entries": [entry(f"s{n}") for n in range(70_000)]},
    "a few too many services": {"offset": 0, "entries": [entry(f"s{n}") for n in range(2000)]},
    "far ahead": {"offset": 1 << 70, "entries": [entry()]},
    "before the start": {"offset": -1, "entries": [entry()]},
    "nothing": {"offset": 0, "entries": [entry(data=b"")] * 10_000},
    "no base64": {"offset": 0, "entries": [["main", "stdout", 1, "?"]]},
    "not what it is": {"offset": "0", "entries": {"a": 1}},
    "no end": '{"offset": 0, "entries": [' + "[" * 50_000,
}


@pytest.mark.parametrize("kind", LOGS)
async def test_logs(home, open_site, kind):
    """What was taken can be read; what comes then is taken."""
    home.write({"a": step()})
    async with open_site() as served:
        far = await hostile(served)
        run = (await served.life.start(home)).id
        lease = await far.claim()
        answer = await far.post(f"{lease}/log", LOGS[kind])
        assert answer.status_code < 500, answer.text
        told = (await served.http.get(f"{lease}/log", headers=far.headers)).raise_for_status().json()
        assert len(told["last"]) < 1000
        answer = await far.post(f"{lease}/log", {"offset": told["offset"], "entries": [entry(data=b"after\n")]})
        assert answer.status_code == 200, answer.text
        assert (await served.life.log(run, "a", service="main")).endswith(b"after\n")


async def test_offsets_that_go_back_change_nothing(home, open_site):
    home.write({"a": step()})
    async with open_site() as served:
        far = await hostile(served)
        run = (await served.life.start(home)).id
        lease = await far.claim()
        for offset, data, following in ((0, b"once", 4), (0, b"other", 5), (2, b"xx!", 5), (0, b"", 5)):
            answer = await far.post(f"{lease}/log", {"offset": offset, "entries": [entry(data=data)]})
            assert answer.json() == {"offset": following}
        assert await served.life.log(run, "a", service="main") == b"oncer"


PATHS = [
    "../../x/a/1/1",
    "{run}/../1/1",
    "{run}/a/0/1",
    "{run}/a/1/-1",
    f"{{run}}/a/1/{1 << 40}",
    "{run}/%2e%2e/1/1",
    "{run}/b/1/1",
]


@pytest.mark.parametrize("path", PATHS)
async def test_leases_that_it_has_not(home, open_site, path):
    home.write({"a": step(), "b": step()})
    async with open_site() as served:
        far, other = await hostile(served), await hostile(served, "other")
        run = (await served.life.start(home)).id
        while (lease := await other.claim(f"other/{'3' * 16}")) is not None:
            for verb in ("finish", "log", "phase", "launched", "cached", "healthy"):
                answer = await far.post(
                    f"{lease}/{verb}", {"outcome": "succeeded", "offset": 0, "entries": [], "phase": "x", "key": "0"}
                )
                assert answer.status_code in (409, 422), (verb, answer.text)
        answer = await far.post(f"/api/v1/runner/attempts/{path.format(run=run)}/finish", {"outcome": "succeeded"})
        assert answer.status_code in (404, 405, 409, 422), answer.text
        view = (await served.get(f"/api/v1/projects/project/runs/{run}")).json()
        assert {each["state"] for each in view["steps"]} == {"running"}


async def test_two_programs_with_one_key(home, open_site):
    """The one that began last is the runner; the other one is told that it is not, and takes nothing away from it."""
    home.write({"a": step()})
    async with open_site() as served:
        far = await hostile(served)
        run = (await served.life.start(home)).id

        async def hello(who):
            return await far.post("/api/v1/runner/hello", {"runner": who, "capacity": 2})

        async def beat(who):
            return await far.post("/api/v1/runner/heartbeat", {"runner": who, "report": {}, "wait": 0})

        assert (await hello(FAR)).json() == []
        assert await far.claim(FAR) is not None
        assert len((await hello(LATER)).json()) == 1
        lease = await far.claim(LATER)
        assert lease is not None
        for body in ({"runner": FAR, "request_key": uuid.uuid4().hex, "wait": 0},):
            answer = await far.post("/api/v1/runner/claim", body)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        answer = await beat(FAR)
        assert answer.status_code == 401
        assert "another program" in answer.json()["detail"]
        assert (await beat(LATER)).status_code == 200
        assert (await far.post(f"{lease}/finish", {"outcome": "failed"})).status_code == 204
        assert (await served.life.updates(run))[-1].run.state == "failed"
