"""Two servers over one PostgreSQL database: kill -9 of the one that began a run costs its running step nothing.

Whether the step runs beside that server or on a machine that spoke to it.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest

from flowbuild.testing.postgres import Postgres
from flowbuild.testing.program import Program, Started, leftovers, make_repository

PIPELINES = """
x-box: &box {image: flow-demo/busybox}
pipelines:
  test:
    steps:
      a:
        compose:
          services:
            main: {<<: *box, init: true, command: [sh, -c, "echo working; until [ -e /tmp/go ]; do sleep 0.1; done; echo over > result"]}
        success: [b]
      b: {compose: {services: {main: {<<: *box, command: [cat, result]}}}}
"""

pytestmark = pytest.mark.docker


class Site:
    """Two servers over one home directory and one database, and a user who is logged in to both."""

    def __init__(self, top: Path, postgres: Postgres, stack: ExitStack, **own: str) -> None:
        source = top / "source"
        source.mkdir()
        (source / ".flow.yml").write_text(PIPELINES)
        repository = make_repository(source, top / "repository", message="Two servers")
        self.database = postgres.database()
        own |= {"FLOW_DATABASE": self.database, "FLOW_ALLOW_LOCAL": str(top), "FLOW_PASSWORD": "correct horse battery"}
        own |= {"XDG_CONFIG_HOME": str(top / "user"), "FLOW_PROJECT": "project"}
        self.program = Program(top / "home", repository, own)
        self.ports = [free_port(), free_port()]
        self.servers = [self.start(port, stack) for port in self.ports]
        code = re.search(r"--code (\S+)", self.servers[0].wait_for("flow setup"))
        assert code is not None
        self.ok(0, "setup", self.address(0), "--code", code[1], "--name", "ann", server=False)
        self.ok(1, "login", self.address(1), "--name", "ann", server=False)
        self.ok(0, "projects", "add", "project", str(repository))

    def start(self, port: int, stack: ExitStack) -> Started:
        server = Started(self.program, "server", environment={"FLOW_PORT": str(port)})
        stack.callback(server.kill)
        server.wait_for("flow server")
        return server

    def address(self, number: int) -> str:
        return f"http://127.0.0.1:{self.ports[number]}"

    def at(self, number: int) -> dict[str, str]:
        return {"FLOW_SERVER": self.address(number)}

    def ok(self, number: int, *arguments: str, server: bool = True) -> str:
        """Call `flow` as a client of a server."""
        output = self.program.call(*arguments, environment=self.at(number) if server else None)
        assert output.code == 0, output.text
        return output.stdout

    def owner(self, run: str) -> str:
        with closing(psycopg.connect(self.database, autocommit=True)) as connection:
            row = connection.execute("SELECT owner FROM runs WHERE id = %s", [run]).fetchone()
        assert row is not None
        return str(row[0])


@pytest.fixture
def site(tmp_path: Path, postgres: Postgres) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(tmp_path, postgres, stack)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def containers(run: str) -> list[str]:
    command = ["docker", "ps", "--quiet", "--no-trunc", f"--filter=label=flow.run={run}", "--filter=label=flow.step=a"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.split()


def begin(site: Site) -> tuple[str, str]:
    """Begin a run; return it and the container of its first step once that works."""
    run = site.ok(0, "trigger", "project", "test", "--detach").strip()
    following = Started(site.program, "logs", run, "a", "-f", environment=site.at(1))  # whoever drives it
    following.wait_for("working")
    following.kill()
    (container,) = containers(run)
    return run, container


def finish(site: Site, run: str, container: str) -> None:
    """Let the first step end, and look at the run at the server that is left."""
    subprocess.run(["docker", "exec", container, "touch", "/tmp/go"], check=True, timeout=60)
    site.ok(1, "watch", run)
    view = json.loads(site.ok(1, "show", run, "--json"))
    assert view["state"] == "succeeded"
    assert {step["key"]: len(step["attempts"]) for step in view["steps"]} == {"a": 1, "b": 1}
    assert "over" in site.ok(1, "logs", run, "b")


@pytest.mark.parametrize("ends", ["while nobody drives the run", "after the other one took it over"])
def test_a_step_survives_the_server_that_began_it(site: Site, ends: str) -> None:
    run, container = begin(site)
    first = site.owner(run)
    site.servers[0].kill()
    while ends.startswith("after") and site.owner(run) == first:
        pass  # the database tells nobody
    finish(site, run, container)
    assert site.owner(run) != first
    assert leftovers([run]) == []


def test_a_machine_goes_on_with_the_other_server(tmp_path: Path, postgres: Postgres) -> None:
    with ExitStack() as stack:
        site = Site(tmp_path, postgres, stack, FLOW_RUNNER="false")
        *_, code = site.ok(0, "runners", "add").split()
        machine = Program(tmp_path / "machine", tmp_path, {"FLOW_NETWORK_POOL": "10.214.0.0/16"})
        addresses = [word for number in (0, 1) for word in ("--server", site.address(number))]
        working = Started(machine, "runner", *addresses, "--code", code, "--name", "far")
        stack.callback(working.kill)
        working.wait_for("runner far of")
        run, container = begin(site)
        site.servers[0].kill()
        finish(site, run, container)
        site.ok(1, "runners", "drain", "far")
        assert working.end().code == 0
        assert leftovers([run]) == []
