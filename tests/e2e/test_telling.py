"""A run fails on a real server: those who wanted to know have a mail and a signed webhook, with the lines that say why."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from flowbuild.testing.program import LIMIT, Program, Started, make_repository
from flowbuild.testing.receivers import HookReceiver, MailServer, hook_receiver, mail_server

PIPELINES = """
pipelines:
  release:
    steps:
      unit:
        compose: {services: {main: {image: flow-demo/busybox, command: [sh, -c, "echo begin; echo 'error: it <broke>'; exit 3"]}}}
"""

pytestmark = pytest.mark.docker


class Site:
    """A server, and an admin who has set up channels of its project."""

    def __init__(self, top: Path, stack: ExitStack, mail: MailServer) -> None:
        source = top / "source"
        source.mkdir()
        (source / ".flow.yml").write_text(PIPELINES)
        repository = make_repository(source, top / "repository", message="Try\r\nBcc: evil@example.org")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        environment = {
            "FLOW_PORT": str(port),
            "FLOW_ALLOW_LOCAL": str(top),
            "FLOW_ALLOW_HTTP": "true",
            "FLOW_ALLOW_INTERNAL": "127.0.0.1",
            "FLOW_SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
            "FLOW_MAIL_FROM": "Flow <flow@example.org>",
            "FLOW_PASSWORD": "correct horse battery",
            "XDG_CONFIG_HOME": str(top / "user"),
            "FLOW_PROJECT": "shop",
        }
        self.program = Program(top / "home", repository, environment)
        server = Started(self.program, "server")
        stack.callback(server.kill)
        code = re.search(r"--code (\S+)", server.wait_for("flow setup"))
        assert code is not None
        self.flow("setup", self.url, "--code", code[1], "--name", "ann")
        self.flow("projects", "add", "shop", str(repository))
        (login,) = json.loads((top / "user" / "flow-build" / "servers.json").read_text())["logins"]
        self.headers = {"Authorization": f"Bearer {login['token']}"}

    def flow(self, *arguments: str) -> str:
        output = self.program.call(*arguments)
        assert output.code == 0, output.text
        return output.stdout

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        where = f"{self.url}/api/v1/projects/shop/channels{path}"
        answer = httpx2.request(method, where, headers=self.headers, json=body, timeout=LIMIT)
        assert answer.status_code < 300, answer.text
        return answer.json()


@pytest.fixture
async def hook() -> AsyncIterator[HookReceiver]:
    async with hook_receiver() as made:
        yield made


@pytest.fixture
async def mail() -> AsyncIterator[MailServer]:
    async with mail_server() as made:
        yield made


async def test_a_failure(tmp_path: Path, hook: HookReceiver, mail: MailServer) -> None:
    with ExitStack() as stack:
        site = await asyncio.to_thread(Site, tmp_path, stack, mail)
        rule = {"on": ["started", "failed"]}
        for channel in (
            {"name": "team", "kind": "email", "target": "ann@example.org, bob@example.org", "rule": rule},
            {"name": "ops", "kind": "webhook", "target": f"{hook.url}/ops", "rule": rule},
        ):
            await asyncio.to_thread(site.ask, "POST", "", channel)
        for name in ("team", "ops"):
            await asyncio.to_thread(site.ask, "POST", f"/{name}/test")
        run = (await asyncio.to_thread(site.flow, "trigger", "shop", "release", "--detach")).strip()
        await hook.until(lambda: len(hook.told) == 3)
        await mail.until(lambda: len(mail.mails) == 3)
        log = await asyncio.to_thread(site.ask, "GET", "/ops/dispatches")

    bodies = {body["type"]: body for body in (json.loads(told.body) for told in hook.told)}
    assert set(bodies) == {"test", "run.started", "run.failed"}
    data = bodies["run.failed"]["data"]
    assert (data["run"]["id"], data["run"]["project"], data["run"]["actor"]) == (run, "shop", "ann")
    assert data["run"]["url"] == f"{site.url}/runs/{run}"
    (step,) = data["steps"]
    assert (step["key"], step["outcome"], step["exit_code"]) == ("unit", "failed", 3)
    assert "error: it <broke>" in step["lines"]

    by_subject = {mail.message["Subject"]: mail.message for mail in mail.mails}
    first, last = (by_subject[f"[shop] release #1 {word} on main"] for word in ("started", "failed"))
    assert "[shop] a test of this channel" in by_subject
    assert first["References"] == last["References"]
    assert last["To"] == "ann@example.org, bob@example.org"
    plain, html = (part.get_content() for part in last.iter_parts())
    assert "    error: it <broke>" in plain
    assert "error: it &lt;broke&gt;" in html
    assert all(message["Bcc"] is None for message in by_subject.values())

    assert {row["id"] for row in log["items"]} == {told.id for told in hook.told}
    assert {row["event"] for row in log["items"]} >= {"started", "failed"}
