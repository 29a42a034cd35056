"""A machine loses its power: what ran there is `errored` (`infra_lost`), and `retry` gives it to another one within 90 s.

It takes as long as a lease: with FLOW_LOST_MACHINE=1 only. What happens then is also tested with a clock that is set
(tests/unit/services/test_several_runners.py).
"""

import os
import subprocess
import time

import pytest

from flowbuild.testing.program import Program, leftovers

PIPELINE = """
pipelines:
  lost:
    steps:
      a:
        compose: {services: {a: {image: flow-demo/busybox, command: [sh, -c, "echo try $$FLOW_ATTEMPT; [ $$FLOW_ATTEMPT = 2 ] || sleep 1000"]}}}
        retry: {max: 1, on: [infra_lost]}
"""
ALLOWED = 90.0  # seconds

pytestmark = [
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.skipif("FLOW_LOST_MACHINE" not in os.environ, reason="takes as long as a lease: FLOW_LOST_MACHINE=1"),
]


def lose_power(run, working):
    """Kill the program and take away all that its engine has, which here is that of the other machine, too; return when."""
    working.process.kill()
    for kind, remove in (("container", ("rm", "--force")), ("network", ("rm",))):
        found = docker(kind, "ls", "--quiet", f"--filter=label=flow.run={run}").split()
        assert found
        docker(kind, *remove, *found)
    working.end()
    return time.monotonic()


def docker(*words):
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True, timeout=60).stdout


def test_another_machine_goes_on(tmp_path, source, port, start):
    url = f"http://127.0.0.1:{port}"
    ours = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "FLOW_PASSWORD": "a password of ada"}
    own = {"FLOW_PORT": str(port), "FLOW_RUNNER": "false", "FLOW_ALLOW_LOCAL": str(tmp_path)}
    serving = start(Program(tmp_path / "server", tmp_path, {**ours, **own}), "server")
    person = Program(tmp_path / "person", tmp_path, {**ours, "FLOW_PROJECT": "demo"})
    assert person.call("setup", "--code", serving.wait_for("--code").split()[-1], "--name", "ada", url).code == 0
    assert person.call("projects", "add", "demo", str(source)).code == 0

    def machine(name, pool):
        program = Program(tmp_path / name, tmp_path, {**ours, "FLOW_NETWORK_POOL": pool})
        *_, code = person.call("runners", "add").stdout.split()
        working = start(program, "runner", "--server", url, "--code", code, "--name", name)
        working.wait_for(f"runner {name} of")
        return program, working

    one, working = machine("one", "10.215.0.0/16")
    run = person.call("trigger", "demo", "lost", "--detach").stdout.strip()
    start(person, "--server", url, "logs", run, "a", "-f").wait_for("try 1")
    _two, other = machine("two", "10.216.0.0/16")
    lost = lose_power(run, working)
    watched = person.call("--server", url, "watch", run)
    taken = time.monotonic() - lost
    assert watched.code == 0, watched.text
    print(f"lost machine: the run ended on another one after {taken:.1f} s")
    (step,) = person.call("--server", url, "show", run, "--json").json()["steps"]
    assert [(each["node"], each["outcome"], each["reason"]) for each in step["attempts"]] == [
        ("one", "errored", "infra_lost"),
        ("two", "succeeded", None),
    ]
    assert taken < ALLOWED
    assert "silent" in person.call("--server", url, "runners", "list").stdout.splitlines()[0]
    working = start(one, "runner")  # it has power again, and clears away
    working.wait_for("runner one of")
    for name in ("one", "two"):
        assert person.call("--server", url, "runners", "drain", name).code == 0
    assert (working.end().code, other.end().code) == (0, 0)
    assert leftovers([run]) == []
