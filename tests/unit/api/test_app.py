"""What holds for every endpoint: permissions, problems, limits."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from fastapi import APIRouter, Depends

from flowbuild.api.access import OnServer, Public, declared
from flowbuild.api.app import create_app, describe, guarded
from flowbuild.api.limits import BODY_MAX, Limits
from flowbuild.core.access import Action
from flowbuild.core.errors import EngineError, FlowError, RateLimited, StoreError
from flowbuild.testing.home import step
from flowbuild.testing.serving import serving

SCHEMA = Path(__file__).parents[3] / "schema" / "openapi.json"


def nothing():
    """Answer with nothing."""


def test_an_endpoint_without_a_permission_fails_the_build():
    router = APIRouter()
    router.get("/free")(nothing)
    with pytest.raises(AssertionError, match="/free declares 0 permissions"):
        describe((router,))


def test_an_endpoint_with_two_permissions_fails_the_build():
    router = APIRouter()
    router.get("/both", dependencies=[Depends(Public()), Depends(OnServer(Action.SERVER_READ))])(nothing)
    with pytest.raises(AssertionError, match="/both declares 2 permissions"):
        describe((router,))


def test_what_everybody_may_is_a_short_list():
    public = {route.path for route, permission in declared(describe()) if permission.action is None}
    of_the_server = {"/health", "/ready", "/api/v1/server", "/api/v1/me", "/api/v1/lint"}
    assert public == of_the_server | {
        "/api/v1/setup",
        "/api/v1/login",
        "/api/v1/login/providers",
        "/api/v1/login/{provider}",
        "/api/v1/login/{provider}/back",
        "/api/v1/runner/register",
        "/hooks/{project}/{name}",  # who sends there signs
    }


def test_the_description_is_current():
    printed = subprocess.run([sys.executable, "-m", "flowbuild.api"], check=True, capture_output=True, text=True).stdout
    assert printed == SCHEMA.read_text(), "stale: make schema"


def test_the_description_names_each_operation_once_and_every_answer_has_a_schema():
    document = json.loads(SCHEMA.read_text())
    assert document["openapi"].startswith("3.1")
    operations = [each for path in document["paths"].values() for each in path.values()]
    assert len({each["operationId"] for each in operations}) == len(operations)
    assert all(each["summary"] and each["description"] for each in operations)


@pytest.mark.parametrize(
    ("error", "status", "code", "headers"),
    [
        (StoreError("the database is away"), 503, "store_error", {"retry-after": "5"}),
        (EngineError("no engine", hint="start it"), 502, "engine_error", {}),
        (RateLimited("too often", seconds=7.2), 429, "rate_limited", {"retry-after": "7"}),
        (FlowError("odd"), 500, "error", {}),
        (KeyError("password"), 500, "internal", {}),
    ],
)
async def test_errors_are_problems(error, status, code, headers):
    router = APIRouter()

    def broken():
        """Fail."""
        raise error

    router.get("/broken", dependencies=[Depends(Public())])(broken)
    transport = httpx2.ASGITransport(guarded(create_app(None, [router])), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as http:
        answer = await http.get("/broken")
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert headers.items() <= dict(answer.headers).items()
    assert "password" not in answer.text
    assert problem["type"] == f"urn:flow:error:{code}"


@pytest.mark.parametrize("path", ["/", "/api/v1/nothing", "/api/v1/runs/x/y/z", "//api/v1/server", "/api/v1/server/"])
async def test_what_is_not_there(open_site, home, path):
    async with open_site() as site:
        answer = await site.get(path)
        method = await site.http.delete("/api/v1/server")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (method.status_code, method.json()["code"]) == (405, "method_not_allowed")


async def test_bodies_have_a_bound(open_site):
    big = b'{"files": {"a": "' + b"x" * BODY_MAX + b'"}}'

    async def pieces():
        for start in range(0, len(big), 1 << 16):
            yield big[start : start + (1 << 16)]

    async with open_site() as site:
        said = await site.http.post("/api/v1/lint", content=big)
        streamed = await site.http.post("/api/v1/lint", content=pieces())
        fine = await site.http.post("/api/v1/lint", json={"files": {".flow.yml": "pipelines: {}"}})
    assert [each.status_code for each in (said, streamed, fine)] == [413, 413, 200]
    assert said.json()["code"] == streamed.json()["code"] == "too_large"


async def test_a_body_that_does_not_come_is_not_waited_for():
    async def app(scope, receive, send):
        message = {"more_body": True}
        while message.get("more_body"):
            message = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    async with serving(Limits(app, larger={}, patience=0.05)) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this")
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"too_slow" in answer


async def test_lint_finds_what_validate_finds(open_site):
    text = "pipelines:\n  p:\n    steps:\n      a: {compose: {services: {a: {image: x}}}, sucess: [b]}\n"
    async with open_site() as site:
        answer = (await site.http.post("/api/v1/lint", json={"files": {".flow.yml": text}})).json()
        good = text.replace("sucess", "success") + "      b: {compose: {services: {b: {image: x}}}}\n"
        fine = (await site.http.post("/api/v1/lint", json={"files": {".flow.yml": good}})).json()
        bomb = "a: &a [x,x]\n" + "".join(
            f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)},*{chr(97 + i)}]\n" for i in range(20)
        )
        refused = await site.http.post(
            "/api/v1/lint", content=json.dumps({"files": {".flow.yml": bomb, "\ud800": "x"}})
        )
    assert answer["pipelines"] == []
    assert fine["findings"] == []
    assert [(edge["source"], edge["target"]) for edge in fine["pipelines"][0]["edges"]] == [("a", "b")]
    (finding,) = answer["findings"]
    assert (finding["line"], finding["column"]) == (4, text.splitlines()[3].index("sucess") + 1)
    assert "success" in finding["hint"]
    assert refused.status_code in (200, 422)


async def test_who_am_i(open_site):
    async with open_site() as site:
        me = (await site.get("/api/v1/me", "developer")).json()
        nobody = (await site.http.get("/api/v1/me")).json()
        metrics = [(await site.get("/metrics", who)).status_code for who in ("admin", "maintainer")]
    assert (me["name"], me["roles"]) == ("developer", {"project": "developer"})
    assert nobody["kind"] == "anonymous"
    assert metrics == [200, 403]


async def test_figures(open_site, home):
    home.write({"a": step(log="x", sleep=1000)})
    async with open_site() as site:
        begun = await site.life.start(home)
        await site.life.speaks(begun.id, "a")  # so it was launched
        for path in ("/api/v1/runs/x", f"/api/v1/runs/{begun.id}", "/nowhere/1", "/nowhere/2"):
            await site.get(path)
        text = (await site.get("/metrics", "admin")).text
        await site.life.client.cancel(begun.id)
        await site.life.finished(begun.id)
        after = (await site.get("/metrics", "admin")).text
    assert 'flow_runs_open{state="running"} 1.0' in text
    assert 'flow_attempts_open{state="launched"} 1.0' in text
    assert 'flow_http_answers_total{method="GET",route="/api/v1/runs/{run}",status="404"} 1.0' in text
    assert text.count("nowhere") == 0
    assert "flow_runs_open{" not in after
    assert "process_resident_memory_bytes" in text
