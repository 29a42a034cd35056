"""A server as people have it, with people and projects on it: what browser tests, measurements and pictures look at.

The server is the program, a process of its own; it is told what to do over its API only.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from flowbuild.testing.program import BYTECODE, LIMIT, git

PASSWORD = "correct horse battery"  # noqa: S105 (of people who are made up)
ADMIN = "ada"


@dataclass(frozen=True, slots=True)
class RunAddress:
    """A run: `id` for the API, `number` for pages."""

    id: str
    number: int
    project: str

    @property
    def page(self) -> str:
        """Path of its page."""
        return f"/projects/{self.project}/runs/{self.number}"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class WebSite:
    """A server with its home in `top`. `environment`: further settings of it; `command`: how the program is started.

    `setup_page`: where the first account is made, as long as there is none.
    """

    top: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = (str(Path(sys.executable).with_name("flow")),)
    port: int = field(default_factory=free_port)
    setup_page: str = ""
    _process: subprocess.Popen[str] | None = None
    _people: dict[str, httpx2.Client] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server, also again; return when it answers. What it logs is in `server.log`."""
        self.top.mkdir(parents=True, exist_ok=True)
        settings = {"FLOW_PORT": str(self.port), "FLOW_ALLOW_LOCAL": str(self.top), "FLOW_CAPACITY": "6"}
        settings |= {"FLOW_HOME": str(self.top / "home"), **self.environment}
        with (self.top / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self.command, "server"],
                env={**os.environ, **BYTECODE, **settings},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._next_line("flow server")
        if httpx2.get(f"{self.url}/api/v1/setup", timeout=LIMIT).json()["needed"]:
            self.setup_page = self._next_line("#code=").strip()

    def _next_line(self, text: str) -> str:
        """Return the next line that the server prints with a text in it."""
        output = self._process.stdout if self._process else None
        for line in output or ():
            if text in line:
                return line
        raise AssertionError(f"the server ended: {(self.top / 'server.log').read_text()}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the server, if it runs."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.communicate(timeout=LIMIT)
            self._process = None

    def close(self) -> None:
        """End what still runs, kill the server and forget the people."""
        if self._process is not None and ADMIN in self._people:
            for each in self.ask("GET", "runs?state=running&limit=200")["items"]:
                self.ask("POST", f"runs/{each['id']}/cancel", {"force": True})
                self.wait(RunAddress(each["id"], each["number"], each["project"]))
        self.stop(signal.SIGKILL)
        for client in self._people.values():
            client.close()

    def set_up(self) -> None:
        """Make the first account, an admin."""
        account = {"code": self.setup_page.partition("#code=")[2], "name": ADMIN, "password": PASSWORD}
        _check(httpx2.post(f"{self.url}/api/v1/setup", json=account, timeout=LIMIT))

    def client(self, who: str = ADMIN) -> httpx2.Client:
        """Return a client that is logged in as somebody."""
        if who not in self._people:
            client = httpx2.Client(base_url=self.url, timeout=LIMIT)
            _check(client.post("/api/v1/login", json={"name": who, "password": PASSWORD}))
            client.headers["X-Flow-Form-Token"] = client.cookies["flow_form_token"]
            self._people[who] = client
        return self._people[who]

    def ask(self, method: str, path: str, body: object = None, *, who: str = ADMIN) -> Any:
        """Ask the API; return what it answers. Raises AssertionError when it refuses."""
        answer = self.client(who).request(method, f"/api/v1/{path}", json=body)
        _check(answer)
        return answer.json() if answer.content and "json" in answer.headers.get("content-type", "") else answer.text

    def add_user(self, name: str, **roles: str) -> None:
        """Add a person with roles in projects."""
        self.ask("POST", "users", {"name": name, "password": PASSWORD})
        for project, role in roles.items():
            self.ask("PUT", f"projects/{project}/members/{name}", {"role": role})

    def add_project(self, name: str, repository: Path, **more: object) -> None:
        """Add a repository of this machine, below `top`, as a project."""
        self.ask("POST", "projects", {"name": name, "url": str(repository), **more})

    def begin(self, project: str, pipeline: str, **body: object) -> RunAddress:
        """Start a run."""
        run = self.ask("POST", f"projects/{project}/pipelines/{pipeline}/runs", body)
        return RunAddress(run["id"], run["number"], project)

    def run(self, project: str, pipeline: str, **body: object) -> RunAddress:
        """Start a run and return when it is over."""
        address = self.begin(project, pipeline, **body)
        self.wait(address)
        return address

    def view(self, run: RunAddress) -> Any:
        """Return what the API says of a run."""
        return self.ask("GET", f"runs/{run.id}")

    def wait(self, run: RunAddress, step: str = "", state: str = "done") -> Any:
        """Return the view of a run when it is over, or when a step is in a state."""

        def reached(view: Any) -> bool:
            if view["finished_at"] is not None or not step:
                return view["finished_at"] is not None
            return any(each["key"] == step and each["state"] == state for each in view["steps"])

        with self.client().stream("GET", f"/api/v1/runs/{run.id}/events") as stream:
            for line in stream.iter_lines():
                if line.startswith("data:") and reached(view := self.view(run)):
                    return view
        return self.view(run)


def _check(answer: httpx2.Response) -> None:
    if answer.is_error:
        raise AssertionError(f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}")


def repository(place: Path, files: Mapping[str, str], *, message: str = "First") -> Path:
    """Make a git repository with one commit of files, by path; `.sh` ones can be executed."""
    place.mkdir(parents=True)
    git(place, "init", "--quiet", "--initial-branch=main")
    commit(place, files, message)
    return place


def commit(place: Path, files: Mapping[str, str], message: str) -> str:
    """Add a commit with files to a repository; return its id."""
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
        (place / name).chmod(0o755 if name.endswith(".sh") else 0o644)
    git(place, "add", "--all", "--force")
    git(place, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(place, "rev-parse", "HEAD").strip()


def _started(since: str, *filters: str) -> str:
    """Return the first container that starts from a time on. Raises AssertionError when none does."""
    wanted = ("--filter", "event=start", *filters, "--format", "{{.ID}}")
    with subprocess.Popen(["docker", "events", "--since", since, *wanted], stdout=subprocess.PIPE, text=True) as events:
        patience = threading.Timer(LIMIT, events.kill)
        patience.start()
        name = events.stdout.readline().strip() if events.stdout else ""
        patience.cancel()
        events.kill()
    if not name:
        raise AssertionError("the step has no container")
    return name


def in_container(run: RunAddress, step: str, *command: str) -> str:
    """Run a command in the container of a running step that has one; tests tell steps to go on so. Returns its output."""
    filters = ("--filter", f"label=flow.run={run.id}", "--filter", f"label=flow.step={step}")
    began = str(int(time.time()))
    found = _docker("ps", "--quiet", *filters).split()
    return _docker("exec", found[0] if found else _started(began, *filters), *command)


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], check=False, capture_output=True, text=True, timeout=LIMIT)
    if done.returncode:
        raise AssertionError(f"docker {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def shell(*lines: str, image: str = "flow-demo/busybox", **more: object) -> dict[str, Any]:
    """Return a step with one service that runs lines of shell; `$` means that of the shell. `more`: keys of the step."""
    text = "\n".join(lines).replace("$", "$$")
    return {"compose": {"services": {"main": {"image": image, "init": True, "command": ["sh", "-c", text]}}}, **more}


def pipelines(**found: dict[str, Any]) -> str:
    """Return a pipeline file."""
    return json.dumps({"pipelines": found}, indent=1)
