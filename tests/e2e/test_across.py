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


def test_one_run_on_two_machines(lab, tmp_path, source, port, start):
    ours = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "FLOW_PASSWORD": PASSWORD}
    cluster = {"FLOW_CLUSTER": "swarm", "DOCKER_HOST": lab["n1"].host, "FLOW_RUNNER": "false"}
    serves = {"FLOW_PORT": str(port), "FLOW_ALLOW_LOCAL": str(tmp_path)}
    server = Program(tmp_path / "server", tmp_path, {**ours, **cluster, **serves})
    person = Program(tmp_path / "person", tmp_path, {**ours, "FLOW_PROJECT": "demo"})
    url = f"http://127.0.0.1:{port}"
    code = start(server, "server").wait_for("--code").split()[-1]
    assert person.call("setup", "--code", code, "--name", "ada", url).code == 0
    assert person.call("projects", "add", "demo", str(source)).code == 0
    for node in ("n2", "n3"):
        *_, code = person.call("runners", "add").stdout.split()
        machine = Program(tmp_path / node, tmp_path, {**ours, "DOCKER_HOST": lab[node].host})
        start(machine, "runner", "--server", url, "--code", code, "--name", node).wait_for(f"runner {node} of")

    first = start(person, "trigger", "demo", "across", "--input", "who=first", "--json")
    first.wait_for('"serving"')
    assert len(overlays(lab)) == 1
    second = start(person, "trigger", "demo", "across", "--input", "who=second", "--json")
    second.wait_for('"serving"')
    lab["n1"].docker("node", "update", "--label-add", "kind=other", "n3")  # `far` may begin
    for following in (first, second):
        ended = following.end()
        assert ended.code == 0, ended.text
    for number, who in ((1, "first"), (2, "second")):
        run = person.call("--server", url, "show", str(number), "--json").json()
        where = {step["key"]: (step["outcome"], step["attempts"][0]["node"]) for step in run["steps"]}
        assert where == {"db": ("succeeded", "n2"), "near": ("succeeded", "n2"), "far": ("succeeded", "n3")}
        for step in ("near", "far"):
            assert who in person.call("--server", url, "logs", str(number), step).stdout.split()
    lab.until(lambda: overlays(lab) == [], "no network is left")
    for node in ("n2", "n3"):
        left = lab[node].docker("ps", "--all", "--quiet"), overlays(lab)
        assert left == ("", []), json.dumps(left)
