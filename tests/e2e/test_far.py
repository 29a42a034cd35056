"""A server without a runner of its own and a runner beside it, as processes, with the real engine; both are killed (-9)."""

import pytest

from flowbuild.testing.program import Program, leftovers, release

PIPELINE = """
pipelines:
  far:
    steps:
      a:
        compose: {services: {a: {image: flow-demo/busybox, command: [sh, -c, "seq 5; until [ -e /tmp/go ]; do sleep 0.1; done; seq 6 10; head -c 2000000 /dev/zero > big"]}}}
        success: [b]
      b:
        compose: {services: {b: {image: flow-demo/busybox, command: [sh, -c, "wc -c big"]}}}
"""
PASSWORD = "a password of ada"

pytestmark = [pytest.mark.docker, pytest.mark.slow]


def test_neither_death_is_noticed_by_a_step(tmp_path, source, port, start):
    ours = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "FLOW_PASSWORD": PASSWORD}
    server = Program(
        tmp_path / "server",
        tmp_path,
        {**ours, "FLOW_PORT": str(port), "FLOW_RUNNER": "false", "FLOW_ALLOW_LOCAL": str(tmp_path)},
    )
    machine = Program(tmp_path / "machine", tmp_path, {**ours, "FLOW_NETWORK_POOL": "10.213.0.0/16"})
    person = Program(tmp_path / "person", tmp_path, {**ours, "FLOW_PROJECT": "demo"})
    url = f"http://127.0.0.1:{port}"

    serving = start(server, "server")
    code = serving.wait_for("--code").split()[-1]
    assert person.call("setup", "--code", code, "--name", "ada", url).code == 0
    assert person.call("projects", "add", "demo", str(source)).code == 0
    *_, code = person.call("runners", "add").stdout.split()
    working = start(machine, "runner", "--server", url, "--code", code, "--name", "far")
    working.wait_for("runner far of")

    following = start(person, "trigger", "demo", "far", "--json")
    following.wait_for('"5\\n"')
    working.kill()
    working = start(machine, "runner")
    working.wait_for("runner far of")
    serving.kill()
    serving = start(server, "server")
    serving.wait_for("flow server")
    release(person.call("--server", url, "show", "1", "--json").json()["id"], "a")

    followed = following.end()
    assert followed.code == 0, followed.text
    run = person.call("--server", url, "show", "1", "--json").json()
    assert [(step["key"], step["outcome"], len(step["attempts"])) for step in run["steps"]] == [
        ("a", "succeeded", 1),
        ("b", "succeeded", 1),
    ]
    log = person.call("--server", url, "logs", "1", "a").stdout
    assert [line.split()[-1] for line in log.splitlines() if line.split()[-1].isdigit()] == [
        str(n) for n in range(1, 11)
    ]
    assert person.call("runners", "drain", "far").code == 0
    assert working.end().code == 0
    serving.process.terminate()
    assert serving.end().code == 0
    assert leftovers([run["id"]]) == []
    assert [path.name for path in (machine.home / "runner" / "runs").iterdir()] == []
