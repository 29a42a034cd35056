"""The whole product on a Swarm: `deploy/stack.yml` deployed to a laboratory from the image of this clone. Needs root, and the clone.

Machines are n1, n2, …, managers first. Repositories in `Cluster.shared` can be reached by the server.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from flowbuild.testing.lab import Lab
from flowbuild.testing.program import Program

ROOT = Path(__file__).parents[3]
IMAGE = (
    f"flow-build-server:test-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"  # clones share this machine's engine
)
POSTGRES = "flow-demo/postgres"
STEPS = "flow-demo/busybox"
STACK = "flow"
PEOPLE = "ann"
PASSWORD = "correct horse battery"  # noqa: S105 (of a server that lives for a test)
PORT = 8080
MINUTES = 180.0  # seconds; everything starts on two processors at once

# `shared` is where the repositories of tests are.
OWN = """
version: "3.8"
services: {{server: {{volumes: ["{shared}:{shared}"]}}}}
"""


class Cluster:
    """A deployed stack, with an account and this machine logged in: `program` is `flow` as its admin uses it."""

    def __init__(self, lab: Lab, top: Path) -> None:
        self.lab = lab
        self.shared = lab.shared
        self.top = top
        self.home = lab.shared / "server"  # as on storage that all managers reach
        self.home.mkdir()
        self._forward = lab.forward("n1", PORT)
        self.url = f"http://127.0.0.1:{self._forward.port}"
        environment = {"FLOW_PASSWORD": PASSWORD, "XDG_CONFIG_HOME": str(top / "user")}
        self.program = Program(top / "home", top, environment)

    def reach(self, node: str) -> None:
        """Look for the server on a node from now on, at the same address."""
        self._forward.target = (self.lab[node].address, PORT)

    def deploy(self, **variables: str) -> None:
        """Deploy the stack, also anew, with these variables besides those of a test."""
        own = self.top / "own.yml"
        own.write_text(OWN.format(shared=self.shared))
        parts = (ROOT / "deploy/stack.yml", ROOT / "deploy/local-postgres.yml", own)
        files = (word for part in parts for word in ("--compose-file", str(part)))
        given = {
            "FLOW_IMAGE": IMAGE,
            "FLOW_DATABASE_CONSTRAINT": "node.hostname == n1",
            "FLOW_SERVER_HOME": str(self.home),
            "FLOW_ALLOW_LOCAL": str(self.shared),
        }
        options = ("--resolve-image", "never")  # there is no registry
        self.lab.manager.docker("stack", "deploy", *files, *options, STACK, environment=given | variables)

    def begin(self) -> None:
        """Make the first account; returns when the runners of all workers are there."""
        self.lab.until(self.is_ready, "the server is ready", MINUTES)
        self.lab.until(lambda: self.codes() != [], "the server says how to get in")
        self.flow("setup", self.url, "--code", self.codes()[-1], "--name", PEOPLE)
        self.complete()

    def codes(self) -> list[str]:
        """Return the codes for a first account that the server printed."""
        said = self.lab.manager.docker("service", "logs", "--raw", f"{STACK}_server")
        return re.findall(r"--code (\S+)", said)

    def add(self) -> str:
        """Add a machine, as an operator does: `docker swarm join`; return its name when its runner is there."""
        name = self.lab.add(IMAGE, STEPS).name
        self.complete()
        return name

    def complete(self) -> None:
        """Return when the runners of all workers are there."""
        self.lab.until(lambda: {*self.runners()} == self.workers, "the runners of all workers are there", MINUTES)

    @property
    def workers(self) -> set[str]:
        """Return which machines are to have a runner."""
        return {*self.lab.manager.docker("node", "ls", "--filter", "role=worker", "--format", "{{.Hostname}}").split()}

    def is_ready(self) -> bool:
        """Return whether the server says so."""
        try:
            return httpx2.get(f"{self.url}/ready", timeout=5).status_code == httpx2.codes.OK
        except httpx2.HTTPError:
            return False

    def flow(self, *arguments: str) -> str:
        """Return what a command of `flow` says. Raises AssertionError when it fails."""
        server = () if arguments[0] in {"setup", "login"} else ("--server", self.url)
        output = self.program.look(*server, *arguments)
        if output.code:
            raise AssertionError(output.text)
        return output.stdout

    def json(self, *arguments: str) -> Any:
        """Return what a command says with --json."""
        return json.loads(self.flow(*arguments, "--json"))

    def start(self, project: str, pipeline: str) -> str:
        """Start a run; return its id."""
        return self.flow("trigger", project, pipeline, "--detach").strip()

    def ended(self, run: str) -> dict[str, Any]:
        """Return a run when it is final, however it ended."""
        self.program.look("--server", self.url, "watch", run, "--plain")
        view: dict[str, Any] = json.loads(self.flow("show", run, "--json"))
        return view

    def containers(self, node: str, *filters: str) -> list[str]:
        """Return the containers on a node that fit filters of `docker ps`."""
        chosen = [word for each in filters for word in ("--filter", each)]
        return self.lab[node].docker("ps", "--all", "--quiet", *chosen).split()

    def tasks(self, service: str, node: str) -> list[str]:
        """Return the containers of a service of the stack that run on a node."""
        return self.containers(node, f"label=com.docker.swarm.service.name={STACK}_{service}", "status=running")

    def runners(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the runners that are heard of, by name."""
        return {each["name"]: each for each in self.json("runners", "list") if each["heard"] and not each["embedded"]}

    def said(self, service: str) -> str:
        """Return what a service of the stack printed, for who looks at a failure."""
        return self.lab.manager.docker("service", "logs", "--tail", "50", f"{STACK}_{service}")


@contextmanager
def deployed(top: Path, *, managers: int = 1, workers: int = 2, heartbeat: float = 1) -> Iterator[Cluster]:
    """Build the image, bring a laboratory up and deploy the stack; all is gone at the end. `top`: a directory for this."""
    built = subprocess.run([ROOT / "scripts/image", IMAGE], check=False, capture_output=True, text=True)
    if built.returncode:
        raise AssertionError(built.stderr)
    with Lab() as lab:
        lab.up(managers, workers, heartbeat=heartbeat)
        names = [*lab.nodes]
        lab.load(IMAGE, STEPS)
        lab.load(POSTGRES, nodes=names[:managers])
        cluster = Cluster(lab, top)
        environment = {**os.environ, "DOCKER_HOST": lab["n1"].host, "FLOW_IMAGE": IMAGE}
        secrets = [ROOT / "scripts/cluster-secrets", top / "vault.keys"]
        subprocess.run(secrets, check=True, env=environment, stdout=sys.stderr)
        cluster.deploy()
        cluster.begin()
        yield cluster
