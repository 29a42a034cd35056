"""A server as its users have it: real programs, real Docker, git and git-lfs; stopped and killed while steps run."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import httpx2
import pytest

from flowbuild.testing.program import LIMIT, Program, Started, git, leftovers, make_repository, release

PIPELINES = """
x-box: &box {image: flow-demo/busybox}
pipelines:
  slow:
    steps:
      a:
        compose: {services: {main: {<<: *box, init: true, command: [sh, -c, "echo working; until [ -e /tmp/go ]; do sleep 0.1; done; echo over > result"]}}}
        success: [b]
      b: {compose: {services: {main: {<<: *box, command: [sh, -c, "cat result; head -c 3000000 /dev/zero > large"]}}}}
  pushed:
    on: {push: {branches: [main], paths: ["src/**"]}}
    steps:
      a: {secrets: [TOKEN], compose: {services: {main: {<<: *box, command: [sh, -c, "echo it is $$TOKEN; test -n $$TOKEN"]}}}}
"""

pytestmark = pytest.mark.docker


class Site:
    """A server over a home directory, and a user who is its admin."""

    def __init__(self, top: Path, stack: ExitStack) -> None:
        source = top / "source"
        source.mkdir()
        (source / ".flow.yml").write_text(PIPELINES)
        self.repository = make_repository(source, top / "repository", message="Server")
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        environment = {
            "FLOW_PORT": str(port),
            "FLOW_ALLOW_LOCAL": str(top),
            "FLOW_PASSWORD": "correct horse battery",
            "XDG_CONFIG_HOME": str(top / "user"),
            "FLOW_PROJECT": "shop",
        }
        self.program, self._stack = Program(top / "home", self.repository, environment), stack
        self.server = self.start()
        code = re.search(r"--code (\S+)", self.server.wait_for("flow setup"))
        assert code is not None
        assert self.program.call("setup", self.url, "--code", code[1], "--name", "ann").code == 0
        assert self.program.call("projects", "add", "shop", str(self.repository)).code == 0
        (login,) = json.loads((top / "user" / "flow-build" / "servers.json").read_text())["logins"]
        self.headers = {"Authorization": f"Bearer {login['token']}"}

    def start(self) -> Started:
        """Start the server, also again."""
        server = Started(self.program, "server")
        self._stack.callback(server.kill)
        server.wait_for("flow server")
        return server

    def flow(self, *arguments: str) -> str:
        """Return what a command says that must succeed."""
        output = self.program.call("--server", self.url, *arguments)
        assert output.code == 0, output.text
        return output.stdout

    def ask(self, method: str, path: str, **options: object) -> httpx2.Response:
        """Ask the API."""
        return httpx2.request(method, f"{self.url}/api/v1/{path}", headers=self.headers, timeout=LIMIT, **options)

    def begin(self) -> str:
        """Start a run and return its id when its first step has said something."""
        run = self.flow("trigger", "shop", "slow", "--detach").strip()
        until(lambda: "working" in self.ask("GET", f"runs/{run}/steps/a/logs/raw").text)
        return run

    def ended(self, run: str) -> dict:
        """Return a run when it is final."""
        self.flow("watch", run, "--plain")
        return json.loads(self.flow("show", run, "--json"))


def until(true) -> None:
    end = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One server for all tests: those that end it start it again."""
    with ExitStack() as stack:
        yield Site(tmp_path_factory.mktemp("site"), stack)


def once_each(view: dict) -> list[tuple[str, str, int, int]]:
    return [
        (step["key"], step["outcome"], *(len(step["attempts"]), step["attempts"][0]["epoch"])) for step in view["steps"]
    ]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_steps_go_on_while_there_is_no_server(site, how):
    run = site.begin()
    with httpx2.stream("GET", f"{site.url}/api/v1/runs/{run}/events", headers=site.headers, timeout=LIMIT) as follower:
        next(follower.iter_lines())
        begun = time.monotonic()
        site.server.process.send_signal(how)
        output = site.server.end()
        took = time.monotonic() - begun
    assert (output.code, took < 20) == (0 if how is signal.SIGTERM else -9, True), output.text
    site.server = site.start()
    release(run, "a")
    view = site.ended(run)
    assert (view["state"], once_each(view)) == ("succeeded", [("a", "succeeded", 1, 1), ("b", "succeeded", 1, 1)])
    assert "over" in site.flow("logs", run, "b")
    until(lambda: leftovers([run]) == [])


def test_a_run_is_cloned_with_stock_git_and_git_lfs(site, tmp_path):
    run = site.begin()
    release(run, "a")
    view = site.ended(run)
    token = site.headers["Authorization"].removeprefix("Bearer ")
    address = view["repository"].replace("http://", f"http://ann:{token}@")
    git(tmp_path, "clone", "--quiet", address, "plain")
    subprocess.run(["git", "lfs", "install", "--local"], cwd=tmp_path / "plain", check=True, capture_output=True)
    subprocess.run(["git", "lfs", "pull"], cwd=tmp_path / "plain", check=True, capture_output=True)
    assert (tmp_path / "plain" / "workspace" / "large").stat().st_size == 3_000_000
    quiet = {"capture_output": True, "env": {**os.environ, "GIT_TERMINAL_PROMPT": "0"}}
    push = ["git", "-C", str(tmp_path / "plain"), "push", address, "HEAD:refs/heads/mine"]
    assert subprocess.run(push, check=False, **quiet).returncode != 0
    assert subprocess.run(["git", "ls-remote", address.replace(token, "flowt_x")], check=False, **quiet).returncode != 0


def test_a_push_starts_what_it_should_with_the_secret_and_once(site):
    assert site.ask("PUT", "projects/shop/secrets/TOKEN", json={"value": "hunter2hunter2"}).status_code == 200
    hook = site.ask("POST", "projects/shop/hooks", json={"kind": "github", "name": "forge"})
    assert hook.status_code == 201, hook.text
    secret = hook.json()["secret"]
    (site.repository / "src").mkdir()
    before = git(site.repository, "rev-parse", "HEAD").strip()
    (site.repository / "src" / "main").write_text("1")
    git(site.repository, "add", "--all")
    git(site.repository, "commit", "--quiet", "--message", "change")
    after = git(site.repository, "rev-parse", "HEAD").strip()
    body = json.dumps(
        {
            "ref": "refs/heads/main",
            "before": before,
            "after": after,
            "deleted": False,
            "repository": {"full_name": "team/shop", "default_branch": "main"},
            "pusher": {"name": "ann"},
            "sender": {"login": "ann"},
            "head_commit": {"id": after, "message": "change"},
            "commits": [],
        }
    ).encode()

    def deliver(key: str) -> int:
        mark = "sha256=" + hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-GitHub-Event": "push", "X-GitHub-Delivery": "1", "X-Hub-Signature-256": mark}
        return httpx2.post(f"{site.url}/hooks/shop/forge", content=body, headers=headers, timeout=LIMIT).status_code

    assert deliver("forged") == 401
    assert (deliver(secret), deliver(secret)) == (202, 200)
    until(lambda: site.ask("GET", "runs", params={"event": "push"}).json()["items"])
    (begun,) = site.ask("GET", "runs", params={"event": "push"}).json()["items"]
    view = site.ended(begun["id"])
    assert (view["pipeline"], view["state"], view["commit"]) == ("pushed", "succeeded", after)
    log = site.flow("logs", begun["id"], "a")
    assert "it is " in log
    assert "hunter2" not in log
