"""A runner that is somebody else's now: what it may say is bounded, and whatever it says the server goes on."""

import asyncio
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
