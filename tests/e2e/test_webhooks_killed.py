"""kill -9 of a server while webhooks come in: what it acknowledged is not lost, and nothing begins twice."""

from __future__ import annotations

import http.client
import os
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from time import time

import pytest

from flowbuild.services.audit import Actor
from flowbuild.services.hooks import HookChange, HookService
from flowbuild.settings import Settings
from flowbuild.testing.payloads import FORGES, Delivery, Push
from flowbuild.testing.program import Program, Started, git
from flowbuild.wiring.local import Local
from flowbuild.wiring.projects import open_vault, project_service

PIPELINE = """
pipelines:
  build: {on: push, steps: {a: {compose: {services: {main: {image: flow-demo/busybox}}}}}}
"""
KILLS = int(os.environ.get("FLOW_KILLS", "4"))
EACH = 8  # deliveries between two kills
SENDERS = 3

pytestmark = pytest.mark.slow


class Site:
    """A server that is started again and again over one home directory; it has no runner, so runs only begin."""

    def __init__(self, top: Path, stack: ExitStack) -> None:
        self.source, self.home = top / "source", top / "home"
        self.source.mkdir()
        (self.source / ".flow.yml").write_text(PIPELINE)
        git(self.source, "init", "--quiet", "--initial-branch=main")
        git(self.source, "add", "--all")
        git(self.source, "commit", "--quiet", "--message", "first")
        self.commit = git(self.source, "rev-parse", "HEAD").strip()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port = int(listening.getsockname()[1])
        self.secret = self.prepare(top)
        own = {"FLOW_PORT": str(self.port), "FLOW_RUNNER": "false", "FLOW_ALLOW_LOCAL": str(top)}
        self.program, self._stack = Program(self.home, top, own), stack
        self.server = self.start()

    def prepare(self, top: Path) -> str:
        """Add the project and its webhook; return the secret of that."""
        local = Local(Settings(home=self.home, allow_local=(str(top),)), None)
        local.open(drive=False)
        vault = open_vault(local)
        projects = project_service(local, vault)
        projects.add(Actor("t"), "app", str(self.source))
        projects.fetch("app")
        _row, secret = HookService(local.database, vault, time).add(Actor("t"), "app", "github", "forge", HookChange())
        local.close()
        return secret

    def start(self) -> Started:
        server = Started(self.program, "server")
        self._stack.callback(server.kill)
        server.wait_for("flow server")
        return server

    def sign(self, number: int) -> Delivery:
        return FORGES["github"](Push(after=self.commit, message=f"push {number}")).signed("github", self.secret)

    def send(self, delivery: Delivery) -> int:
        """Send a delivery; return the code of the answer, 0 when there was none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST", "/hooks/app/forge", delivery.body, dict(delivery.headers))
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def looked_at(self) -> list[dict[str, object]]:
        """Return what followed from all deliveries, when nothing waits any more."""
        local = Local(Settings(home=self.home), None)
        try:
            while True:  # the database tells nobody
                with local.database.read() as tx:
                    if not tx.deliveries.pending():
                        rows = tx.deliveries.page("app", None, 10_000)
                        return [{"state": row.state, **row.result} for row in rows]
        finally:
            local.close()

    def runs(self) -> list[str]:
        local = Local(Settings(home=self.home), None)
        with local.database.read() as tx:
            found = sorted(tx.runs.ids())
        local.close()
        return found


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(tmp_path, stack)


def test_nothing_is_lost_and_nothing_begins_twice(site: Site) -> None:
    count, random = EACH * (KILLS + 1), Random(KILLS)
    waiting: queue.Queue[Delivery] = queue.Queue()
    for number in range(count):
        waiting.put(site.sign(number))
    acknowledged, moved, up = list[int](), threading.Condition(), threading.Event()
    up.set()

    def sender() -> None:
        while True:
            try:
                delivery = waiting.get_nowait()
            except queue.Empty:
                return
            while (code := site.send(delivery)) == 0:  # a forge would be told by a person to send it again
                assert up.wait(120)
            with moved:
                acknowledged.append(code)
                moved.notify_all()

    senders = [threading.Thread(target=sender, daemon=True) for _ in range(SENDERS)]
    for thread in senders:
        thread.start()
    for kill in range(KILLS):
        moment = kill * EACH + random.randint(1, EACH)
        with moved:
            assert moved.wait_for(lambda: len(acknowledged) >= moment, 120)  # noqa: B023 (called here and now)
        up.clear()
        site.server.kill()
        site.server = site.start()
        up.set()
    for thread in senders:
        thread.join(240)
    assert len(acknowledged) == count
    assert set(acknowledged) <= {200, 202}  # 200: stored, and killed before the answer
    results = site.looked_at()
    began = [run for result in results for event in result["events"] for run in _runs(event)]
    assert [result["state"] for result in results] == ["done"] * count
    assert len(set(began)) == len(began) == count
    assert sorted(began) == site.runs()


def _runs(event: dict[str, object]) -> list[str]:
    return [each["run"] for each in event["pipelines"]]
