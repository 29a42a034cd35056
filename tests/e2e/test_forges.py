"""A push at a forge, as a team has it: git over HTTP, a webhook to a real server, a run in real Docker, a status at the commit."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from flowbuild.store.database import Database
from flowbuild.testing.forge import TOKEN, FakeForge, forge
from flowbuild.testing.git_remote import PASSWORD, USER, Served, Source, served
from flowbuild.testing.payloads import FORGES, ZERO, Push, Request
from flowbuild.testing.program import LIMIT, Program, Started, leftovers

PIPELINES = """
x-steps: &steps {a: {compose: {services: {main: {image: flow-demo/busybox, command: [cat, src/main]}}}}}
pipelines:
  build: {on: {push: {branches: [main], paths: ["src/**"]}}, steps: *steps}
  docs: {on: {push: {branches: [main], paths: ["docs/**"]}}, steps: *steps}
  next: {on: {push: {branches: [next]}}, steps: *steps}
  release: {on: tag, steps: *steps}
  check: {on: pull_request, steps: *steps}
"""

pytestmark = [pytest.mark.docker, pytest.mark.slow]


class Site:
    """A server, a bare repository that is served over HTTP to who has the password, and an admin who asks the API."""

    def __init__(self, top: Path, source: Source, remote: Served) -> None:
        self.source, self.remote = source, remote
        self.database = Database(f"sqlite:///{top / 'home' / 'flow.db'}")
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        environment = {
            "FLOW_PORT": str(port),
            "FLOW_ALLOW_HTTP": "true",
            "FLOW_ALLOW_INTERNAL": "localhost,127.0.0.1",
        }
        self.program = Program(top / "home", top, environment)
        self.server = Started(self.program, "server")
        self.http = httpx2.AsyncClient(base_url=f"{self.url}/api/v1", timeout=LIMIT)

    async def set_up(self) -> None:
        """Make the first account and the project."""
        code = (await asyncio.to_thread(self.server.wait_for, "--code")).split()[-1]
        admin = {"code": code, "name": "ann", "password": "correct horse battery"}
        login = await self.ask("POST", "setup", json=admin)
        self.http.headers["X-Flow-Form-Token"] = login["form_token"]
        wanted = {
            "name": "app",
            "url": f"{self.remote.url}/team/source.git",
            "credential": {"user": USER, "password": PASSWORD},
        }
        await self.ask("POST", "projects", json=wanted)

    async def ask(self, method: str, path: str, **options: Any) -> Any:
        """Ask the API for what it must not refuse."""
        answer = await self.http.request(method, path, **options)
        assert answer.is_success, answer.text
        return answer.json()

    async def start_again(self) -> None:
        """Start the server, which was killed."""
        self.server = await asyncio.to_thread(Started, self.program, "server")
        await asyncio.to_thread(self.server.wait_for, "flow server")

    def looked(self) -> None:
        """Return when the server has looked at the remote and at the forge; the database tells nobody."""
        while True:
            with self.database.read() as tx:
                known = tx.source_heads.of_project(tx.projects.get("app").id)
            if {"", "pull/forge/"} <= known.keys():
                return

    def settled(self) -> None:
        """Return when no delivery waits to be looked at."""
        while True:
            with self.database.read() as tx:
                if not tx.deliveries.pending():
                    return

    async def runs(self) -> list[tuple[str, str, str, str]]:
        """Return the runs, the oldest first: pipeline, event, commit, state."""
        items = (await self.ask("GET", "runs"))["items"]
        return [(run["pipeline"], run["event"], run["commit"], run["state"]) for run in reversed(items)]

    async def close(self) -> None:
        await self.http.aclose()
        self.database.close()
        await asyncio.to_thread(self.server.kill)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    source = Source(tmp_path / "team")
    source.commit({".flow.yml": PIPELINES, "src/main": "one\n"})
    async with AsyncExitStack() as stack:
        repositories = stack.enter_context(served(tmp_path, password=PASSWORD))
        made = Site(tmp_path, source, repositories)
        stack.push_async_callback(made.close)
        await made.set_up()
        yield made


async def last_word(made: FakeForge, commit: str, context: str) -> list[str]:
    """Return the states that the forge was told of a commit, when the last of them is final."""
    while True:
        states = [told.state for told in made.statuses if (told.commit, told.context) == (commit, context)]
        if states and states[-1] in ("success", "failure", "failed", "error"):
            return states
        await made.told(len(made.statuses) + 1)


@pytest.mark.parametrize("kind", ["github", "gitlab", "gitea"])
async def test_a_push_starts_what_it_should_once_and_the_forge_is_told(site: Site, kind: str) -> None:
    async with forge() as made:
        hook = await site.ask(
            "POST",
            "projects/app/hooks",
            json={"kind": kind, "name": "forge", "token": TOKEN, "api_url": made.api_url(kind)},
        )
        before = site.source.git("rev-parse", "HEAD")
        after = site.source.commit({"src/main": "two\n"})
        sent = FORGES[kind](Push("refs/heads/main", before, after))
        secrets = ("the secret of somebody else", hook["secret"], hook["secret"])
        answers = [await made.send(sent.signed(kind, secret), hook["url"]) for secret in secrets]
        assert [answer.status_code for answer in answers] == [401, 202, 200]
        assert answers[1].json()["id"] == answers[2].json()["id"]
        assert (await last_word(made, after, "flow/build"))[-1] == "success"

        site.source.git("tag", "--annotate", "--message", "first", "v1")
        site.source.push("v1")
        tag = site.source.git("rev-parse", "v1")
        tagged = await made.deliver(
            kind, Push("refs/tags/v1", ZERO, after, tag_object=tag), hook["url"], hook["secret"]
        )
        assert tagged.status_code == 202
        assert (await last_word(made, after, "flow/release"))[-1] == "success"

    assert await site.runs() == [("build", "push", after, "succeeded"), ("release", "tag", after, "succeeded")]
    assert {told.context for told in made.statuses} == {"flow/build", "flow/release"}
    items = (await site.ask("GET", "runs"))["items"]
    assert {told.url for told in made.statuses} == {f"{site.url}/runs/{run['id']}" for run in items}
    deliveries = (await site.ask("GET", "projects/app/deliveries"))["items"]
    assert [delivery["state"] for delivery in deliveries] == ["done", "done"]
    told = {each["pipeline"]: each["why"] for each in deliveries[1]["result"]["events"][0]["pipelines"]}
    assert "no changed file" in told["docs"]
    assert "branch main" in told["next"]
    assert leftovers([run["id"] for run in items]) == []


async def test_what_happened_while_there_was_no_server(site: Site) -> None:
    async with forge(repository="team/source") as made:
        wanted = {"kind": "github", "name": "forge", "token": TOKEN, "api_url": made.api_url("github")}
        hook = await site.ask("POST", "projects/app/hooks", json=wanted)
        await asyncio.to_thread(site.looked)
        await asyncio.to_thread(site.server.kill)

        before = site.source.git("rev-parse", "HEAD")
        after = site.source.commit({"src/main": "two\n"})
        topic = site.source.commit({"src/main": "three\n"}, branch="topic")
        request = Request("opened", repository="team/source", source="team/source", head="topic", commit=topic)
        made.requests = [request]
        await site.start_again()
        assert (await last_word(made, after, "flow/build"))[-1] == "success"
        assert (await last_word(made, topic, "flow/check"))[-1] == "success"

        late = (Push("refs/heads/main", before, after, repository="team/source"), request)
        answers = [await made.deliver("github", what, hook["url"], hook["secret"]) for what in late]
        assert [answer.status_code for answer in answers] == [202, 202]
        await asyncio.to_thread(site.settled)
    assert sorted(await site.runs()) == [
        ("build", "push", after, "succeeded"),
        ("check", "pull_request", topic, "succeeded"),
    ]


async def test_a_remote_that_never_answers_does_not_keep_the_server_from_its_end(site: Site) -> None:
    hook = await site.ask("POST", "projects/app/hooks", json={"kind": "github", "name": "forge"})
    site.remote.gate.clear()
    sent = FORGES["github"](Push("refs/heads/main", ZERO, "c" * 40)).signed("github", hook["secret"])
    async with forge() as made:
        assert (await made.send(sent, hook["url"])).status_code == 202
    assert await asyncio.to_thread(site.remote.waiting.wait, LIMIT)
    begun = time.monotonic()
    site.server.process.terminate()
    output = await asyncio.to_thread(site.server.end)
    took = time.monotonic() - begun
    assert (output.code, took < 20) == (0, True), f"{took:.1f} s: {output.text}"
