"""Debug shells on a person's own machine, in what the steps of a server had: real programs, Docker, git and large files."""

import json
import os
import pty
import sqlite3
import subprocess
from contextlib import closing

import httpx2
import pytest

from flowbuild.testing.program import BYTECODE, LIMIT, Program, leftovers

IMAGE = f"flow-test/debug-{os.getpid()}"
PIPELINE = f"""
x-box: &box {{image: flow-demo/busybox}}
pipelines:
  demo:
    steps:
      make:
        compose:
          services:
            main:
              <<: *box
              command: [sh, -c, "echo one > file; head -c 2000000 /dev/zero > large; echo blue > /variables/COLOUR"]
        success: [check, own]
      check:
        secrets: [TOKEN]
        retry: {{max: 1, on: [failed]}}
        compose: {{services: {{main: {{<<: *box, command: [sh, -c, "echo attempt $$FLOW_ATTEMPT > left; exit 3"]}}}}}}
      own: {{compose: {{services: {{main: {{image: {IMAGE}, command: [cat, /mark]}}}}}}}}
"""
SEEN = "cat file; wc -c < large; echo $COLOUR; echo token=$TOKEN; ls; ls $(cat .git/objects/info/alternates)"

pytestmark = pytest.mark.docker


def docker(*arguments, stdin=None):
    done = subprocess.run(["docker", *arguments], input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def image():
    """An image that is on the machine of the server and in no registry.

    Its id is its own, too: the engine would give the same content the same id, and what another test made of it would keep it.
    """
    dockerfile = f"FROM flow-demo/busybox\nLABEL flow-test={IMAGE}\nRUN echo made here > /mark\n"
    yield docker("build", "--quiet", "--tag", IMAGE, "-", stdin=dockerfile)
    subprocess.run(["docker", "rmi", "--force", IMAGE], capture_output=True, check=False)


class Away:
    """A person, logged in to a server whose directories they cannot see, and the run that went wrong there."""

    def __init__(self, top, person, url):
        self.person, self.url = person, url
        (login,) = json.loads((top / "flow-build" / "servers.json").read_text())["logins"]
        self.headers = {"Authorization": f"Bearer {login['token']}"}
        self.run = self.ask("GET", "projects/demo/runs/1")["id"]

    def ask(self, method, path, **options):
        answer = httpx2.request(method, f"{self.url}/api/v1/{path}", headers=self.headers, timeout=LIMIT, **options)
        assert answer.is_success, answer.text
        return answer.json()

    def debug(self, *arguments, script=SEEN):
        return self.person.call("--server", self.url, "debug", *arguments, "--", "sh", "-c", script)

    def remains(self):
        """Return what shells left; the engine is that of the server, too."""
        labels = ["--filter", "label=flow.step", "--format", '{{.Label "flow.run"}} {{.Label "flow.instance"}}']
        found = docker("ps", "--all", *labels).splitlines()
        places = [str(path) for name in ("work", "debugging") for path in (self.person.home / name).glob("[!.]*")]
        return places + [line for line in found if self.instance in line]

    @property
    def instance(self):
        with closing(sqlite3.connect(self.person.home / "flow.db")) as database:
            return database.execute("SELECT value FROM meta WHERE key = 'instance'").fetchone()[0]


@pytest.fixture
def away(tmp_path, source, port, start, image):
    ours = {"XDG_CONFIG_HOME": str(tmp_path), "FLOW_PASSWORD": "a password of ada"}
    options = {**ours, "FLOW_PORT": str(port), "FLOW_ALLOW_LOCAL": str(tmp_path)}
    serving = start(Program(tmp_path / "server", tmp_path, options), "server")
    code = serving.wait_for("--code").split()[-1]
    person = Program(
        tmp_path / "person", tmp_path, {**ours, "FLOW_PROJECT": "demo", "FLOW_NETWORK_POOL": "10.214.0.0/16"}
    )
    url = f"http://127.0.0.1:{port}"
    assert person.call("setup", "--code", code, "--name", "ada", url).code == 0
    assert person.call("projects", "add", "demo", str(source)).code == 0
    assert person.call("trigger", "demo", "demo", "--plain").code == 1
    yield Away(tmp_path, person, url)
    serving.process.terminate()
    assert serving.end().code == 0


def test_a_shell_sees_what_each_attempt_got_and_left(away):  # and who has no right sees nothing
    shown = away.debug("1", "check")
    assert shown.code == 0, shown.text
    *lines, listed = shown.stdout.split("\n", 4)
    assert lines == ["one", "2000000", "blue", "token="]
    assert listed.split()[:2] == ["file", "large"]
    assert {"pack", "info"} & set(listed.split())  # the history of the source is within reach
    assert "without the secret(s) TOKEN" in shown.stderr
    assert "--secret TOKEN" in shown.stderr

    given = away.debug("1", "check", "--secret", "TOKEN=mine-alone-1", script="echo token=$TOKEN; exit 7")
    assert (given.code, given.stdout) == (7, "token=mine-alone-1\n"), given.text
    assert "without the secret" not in given.stderr

    for more, text in (((), "attempt 2\n"), (("--attempt", "1"), "attempt 1\n")):
        left = away.debug("1", "check", "--output", *more, script="cat left")
        assert (left.code, left.stdout) == (0, text), left.text
    never = away.debug("1", "check", "--attempt", "3")
    assert never.code != 0
    assert "has no attempt 3" in never.stderr
    assert away.remains() == []
    assert leftovers([away.run]) == []

    noted = away.ask("GET", "audit", params={"action": "run.debug"})["items"]
    assert [(each["actor"], each["detail"]["step"], each["detail"]["output"]) for each in noted][-1] == (
        "ada",
        "check",
        False,
    )
    assert [each["detail"]["attempt"] for each in noted] == [1, 2, 2, 2]

    away.ask("PUT", "projects/demo/secrets/TOKEN", json={"value": "hunter2hunter2"})
    kit = away.ask("POST", f"runs/{away.run}/steps/check/debug", json={"attempt": 1, "output": True})
    assert (kit["missing"], "hunter2" in json.dumps(kit)) == (["TOKEN"], False)
    program, *words = kit["command"].split()
    assert program == "flow"
    opened = away.person.call(*words, "--", "cat", "left")
    assert (opened.code, opened.stdout) == (0, "attempt 1\n"), opened.text

    answer = httpx2.post(f"{away.url}/api/v1/runs/{away.run}/steps/check/debug", timeout=LIMIT)
    assert answer.status_code == 401
    source = f"{away.url}/git/sources/{away.run}.git/info/refs?service=git-upload-pack"
    assert httpx2.get(source, timeout=LIMIT).status_code == 401
    token = away.headers["Authorization"].removeprefix("Bearer ")
    assert httpx2.get(source, auth=("x", token), timeout=LIMIT).status_code == 200


def test_an_image_that_only_the_server_had(away, image):
    mark = ("1", "own")
    assert away.debug(*mark, script="cat /mark").stdout == "made here\n"
    docker("tag", "flow-demo/base", IMAGE)  # the name means something else by now, the image is still there
    dangling = away.debug(*mark, script="cat /mark")
    assert (dangling.code, dangling.stdout) == (0, "made here\n"), dangling.text
    docker("rmi", image)
    other = away.debug(*mark, script="cat /mark || echo another one")
    assert other.stdout == "another one\n", other.text
    assert f"not the image that the attempt had ({image})" in other.stderr
    docker("rmi", IMAGE)
    gone = away.debug(*mark)
    assert gone.code not in (0, 1), gone.text
    assert f"this machine does not have the image of the attempt ({image})" in gone.stderr
    assert "docker save" in gone.stderr
    assert "Traceback" not in gone.stderr
    assert away.remains() == []


def test_a_shell_on_a_terminal(away):
    leader, follower = pty.openpty()
    environment = {**os.environ, **BYTECODE, **away.person.environment, "FLOW_HOME": str(away.person.home)}
    shell = subprocess.Popen(
        [*away.person.command, "--server", away.url, "debug", away.run, "check"],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=environment,
        start_new_session=True,
    )
    os.close(follower)
    seen = b""
    try:
        while b"# " not in seen:
            seen += os.read(leader, 4096)
        os.write(leader, b"echo it is $COLOUR; exit 5\n")
        while b"it is blue" not in seen:
            seen += os.read(leader, 4096)
        assert shell.wait(LIMIT) == 5, seen
    finally:
        shell.kill()
        shell.wait()
        os.close(leader)
    assert away.remains() == []
