"""A run over two machines of a Swarm: its steps reach each other by name, those of another run do not, and nothing of it stays."""

import json

import pytest

from flowbuild.testing.images import BUSYBOX, ensure_busybox
from flowbuild.testing.lab import Lab
from flowbuild.testing.program import Program

ADDRESS = "nslookup -type=a db.db 127.0.0.11 | sed -n '/^Name/,$$s/^Address: //p' | head -n 1"
GET = "printf 'GET /who HTTP/1.0\\\\r\\\\n\\\\r\\\\n' | nc -w 5 $$(" + ADDRESS + ") 80 | tail -n 1"
PIPELINE = f"""
pipelines:
  across:
    inputs: {{who: {{type: string}}}}
    steps:
      db:
        background: true
        compose:
          services:
            db:
              image: {BUSYBOX}
              command: [sh, -c, "echo $$FLOW_INPUT_WHO >who; exec httpd -f -p 80 -h /workspace"]
              healthcheck: {{test: [CMD, test, -e, /workspace/who], interval: 200ms}}
              deploy: {{placement: {{constraints: [node.hostname == n2]}}}}
        success: [near, far]
      near:
        compose:
          services:
            ask: {{image: {BUSYBOX}, command: [sh, -c, "{GET}"], deploy: {{placement: {{constraints: [node.hostname == n2]}}}}}}
      far:
        compose:
          services:
            ask:
              image: {BUSYBOX}
              command: [sh, -c, "{GET}"]
              depends_on: [side]
              deploy: {{placement: {{constraints: [node.labels.kind == other]}}}}
            side: {{image: {BUSYBOX}, command: [sleep, "600"]}}
        main: [ask]
  back:
    steps:
      db:
        background: true
        retry: {{max: 1, on: [infra_lost]}}
        compose:
          services:
            db:
              image: {BUSYBOX}
              command: [sh, -c, "echo try $$FLOW_ATTEMPT >who; exec httpd -f -p 80 -h /workspace"]
              healthcheck: {{test: [CMD, test, -e, /workspace/who], interval: 200ms}}
              deploy: {{placement: {{constraints: [node.hostname == n2]}}}}
        success: [ask]
      ask:
        timeout: 5m
        compose:
          services:
            ask:
              image: {BUSYBOX}
              command: [sh, -c, "until [ \\"$$heard\\" = 'try 2' ]; do sleep 0.2; heard=$$({GET}); echo heard $$heard; done"]
              deploy: {{placement: {{constraints: [node.hostname == n3]}}}}
"""
PASSWORD = "a password of ada"

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.xdist_group("lab")]


@pytest.fixture(scope="module")
def lab():
    ensure_busybox()
    with Lab() as lab:
        lab.up(managers=1, workers=2)
        lab.load(BUSYBOX, nodes=["n2", "n3"])
        yield lab


def overlays(lab):
    return lab["n1"].docker("network", "ls", "--filter", "label=flow.run", "--format", "{{.Name}}").split()


class Members:
    """A server that knows the Swarm, a person who is logged in there, and runners on nodes."""

    def __init__(self, lab, place, source, port, start):
        self._lab, self._place, self._start = lab, place, start
        self._ours = {"HOME": str(place), "XDG_CONFIG_HOME": str(place), "FLOW_PASSWORD": PASSWORD}
        cluster = {"FLOW_CLUSTER": "swarm", "DOCKER_HOST": lab["n1"].host, "FLOW_RUNNER": "false"}
        serves = {"FLOW_PORT": str(port), "FLOW_ALLOW_LOCAL": str(place)}
        server = Program(place / "server", place, {**self._ours, **cluster, **serves})
        self._url = f"http://127.0.0.1:{port}"
        self.person = Program(place / "person", place, {**self._ours, "FLOW_PROJECT": "demo"})
        code = start(server, "server").wait_for("--code").split()[-1]
        assert self.person.call("setup", "--code", code, "--name", "ada", self._url).code == 0
        assert self.person.call("projects", "add", "demo", str(source)).code == 0

    def join(self, name, node, pool=""):
        """Start a runner on a node."""
        *_, code = self.person.call("runners", "add").stdout.split()
        engine = {"DOCKER_HOST": self._lab[node].host, **({"FLOW_NETWORK_POOL": pool} if pool else {})}
        machine = Program(self._place / name, self._place, {**self._ours, **engine})
        self._start(machine, "runner", "--server", self._url, "--code", code, "--name", name).wait_for(
            f"runner {name} of"
        )

    def follow(self, *arguments):
        return self._start(self.person, "--server", self._url, *arguments)

    def attempts(self, number):
        run = self.person.call("--server", self._url, "show", str(number), "--json").json()
        return {step["key"]: [(each["node"], each["outcome"]) for each in step["attempts"]] for step in run["steps"]}

    def log(self, number, step):
        return self.person.call("--server", self._url, "logs", str(number), step).stdout


@pytest.fixture
def members(lab, tmp_path, source, port, start):
    made = Members(lab, tmp_path, source, port, start)
    for node in ("n2", "n3"):
        made.join(node, node)
    yield made
    lab.until(lambda: overlays(lab) == [], "no network is left")
    for node in ("n2", "n3"):
        left = lab[node].docker("ps", "--all", "--quiet"), overlays(lab)
        assert left == ("", []), json.dumps(left)


def test_one_run_on_two_machines(lab, members):
    first = members.follow("trigger", "demo", "across", "--input", "who=first", "--json")
    first.wait_for('"serving"')
    assert len(overlays(lab)) == 1
    second = members.follow("trigger", "demo", "across", "--input", "who=second", "--json")
    second.wait_for('"serving"')
    lab["n1"].docker("node", "update", "--label-add", "kind=other", "n3")  # `far` may begin
    for following in (first, second):
        ended = following.end()
        assert ended.code == 0, ended.text
    for number, who in ((1, "first"), (2, "second")):
        near, far = ("n2", "succeeded"), ("n3", "succeeded")
        assert members.attempts(number) == {"db": [near], "near": [near], "far": [far]}
        for step in ("near", "far"):
            assert who in members.log(number, step).split()


def test_a_service_that_is_lost_answers_again(members):
    """The same names, from another machine, without a step of the run beginning anew."""
    run = members.follow("trigger", "demo", "back", "--plain")
    run.wait_for("ask  started")
    members.follow("logs", "1", "ask", "-f").wait_for("heard try 1")
    members.join("other", "n2", pool="10.217.0.0/16")
    assert members.person.call("runners", "revoke", "n2").code == 0
    ended = run.end()
    assert ended.code == 0, ended.text
    assert "attempt 1 is gone (runner n2 was revoked); attempt 2 follows" in ended.text
    assert members.attempts(1) == {
        "db": [("n2", "errored"), ("other", "succeeded")],
        "ask": [("n3", "succeeded")],
    }
    assert members.log(1, "ask").splitlines()[-1].endswith("heard try 2")
