"""Environments: who holds one is said, who died with one is named, and no two steps are ever in it at once.

FLOW_LOCK_KILLS says how many programs are killed while they hold or wait (default 4), FLOW_SEED what chance does.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import pytest

from flowbuild.testing.program import Program, Started, leftovers, make_repository, remains

KILLS = int(os.environ.get("FLOW_LOCK_KILLS", "4"))
SEED = int(os.environ.get("FLOW_SEED", "1"))
PIPELINES = """
x-box: &box {image: flow-demo/busybox}
pipelines:
  long:
    steps:
      deploy:
        environment: {name: prod}
        compose: {services: {deploy: {<<: *box, init: true, command: [sh, -c, "echo deploying; sleep 300"]}}}
  short:
    steps:
      deploy:
        environment: {name: prod}
        compose: {services: {deploy: {<<: *box, init: true, command: [sh, -c, "echo deploying; sleep 1"]}}}
  other: {steps: {work: {compose: {services: {work: {<<: *box, command: [echo, done]}}}}}}
"""

pytestmark = pytest.mark.docker


@pytest.fixture
def program(tmp_path: Path) -> Program:
    source = tmp_path / "source"
    source.mkdir()
    (source / ".flow.yml").write_text(PIPELINES)
    return Program(home=tmp_path / "home", directory=make_repository(source, tmp_path / "repository", message="Locks"))


@pytest.fixture
def since() -> str:
    return f"{time.time():.9f}"


def times_in_environment(since: str, runs: list[str]) -> list[tuple[int, int]]:
    """When containers of the runs started and died, by the engine's own record, in nanoseconds, in order of time."""
    command = ["docker", "events", "--since", since, "--until", f"{time.time():.9f}", "--format", "{{json .}}"]
    command += [f"--filter={name}" for name in ("type=container", "event=start", "event=die", "label=flow.step=deploy")]
    listed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    began: dict[str, int] = {}
    spans = []
    for event in map(json.loads, listed.splitlines()):
        if event["Actor"]["Attributes"]["flow.run"] in runs:
            if event["Action"] == "start":
                began[event["Actor"]["ID"]] = event["timeNano"]
            else:
                spans.append((began.pop(event["Actor"]["ID"]), event["timeNano"]))
    assert not began, "a container still runs"
    return sorted(spans)


def overlaps(spans: list[tuple[int, int]]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    return [(one, two) for one, two in pairwise(spans) if two[0] < one[1]]


def deploy(program: Program, run: str) -> tuple[str | None, str | None]:
    step = program.show(run)["steps"][0]
    return step["outcome"], step["reason"]


def ids(program: Program) -> list[str]:
    return [run["id"] for run in program.call("runs", "--json", "--limit", "100").json()]


def test_who_waits_is_told_for_whom_and_gets_the_lock_when_the_dead_holder_is_ended(
    program: Program, since: str
) -> None:
    holder = Started(program, "run", "long", "--json")
    first = json.loads(holder.wait_for("run_started"))["run"]
    holder.wait_for("deploying")
    waiter = Started(program, "run", "short", "--plain")
    assert "waits for prod, held by the step deploy of run 1" in waiter.wait_for("waits for prod")
    holder.kill()
    told = waiter.wait_for("interrupted")
    assert "flow resume 1" in told
    assert "flow cancel 1" in told
    ender = program.call("run", "other", "--json")
    assert ender.code == 0, ender.text
    ended = waiter.end()
    assert ended.code == 0, ended.text
    assert deploy(program, first) == ("cancelled", "interrupted")
    spans = times_in_environment(since, ids(program))
    assert len(spans) == 2
    assert overlaps(spans) == []
    assert remains(program) == []


@pytest.mark.parametrize("verb", ["run", "cancel", "resume"])
def test_the_lock_of_a_dead_run_is_freed(program: Program, since: str, verb: str) -> None:
    """By the next run, by ending it, and by going on with it: a run is never kept waiting without being told."""
    holder = Started(program, "run", "long", "--json")
    first = json.loads(holder.wait_for("run_started"))["run"]
    holder.wait_for("deploying")
    holder.kill()
    if verb == "cancel":
        ended = program.call("cancel", "last")
        assert (ended.code, "is ended now: cancelled" in ended.stderr) == (0, True), ended.text
    if verb == "resume":
        resumed = Started(program, "resume", "--json")
        resumed.wait_for('"phase": "run"')
        waiter = Started(program, "run", "short", "--json")
        assert json.loads(waiter.wait_for("lock_waiting"))["holder"]["run"] == first
        assert program.call("cancel", first).code == 0
        assert resumed.end().code == 4
        output = waiter.end()
    else:
        output = program.call("run", "short", "--json")
    assert output.code == 0, output.text
    assert deploy(program, first)[0] == "cancelled"
    assert overlaps(times_in_environment(since, ids(program))) == []
    assert remains(program) == []


@pytest.mark.slow
@pytest.mark.timeout(300 + 60 * KILLS)
def test_no_two_are_in_an_environment_whoever_dies(program: Program, since: str) -> None:
    """Three programs at a time want the same environment; one of them is killed at a random moment, again and again."""
    chance = random.Random(SEED)
    started = [Started(program, "run", "short", "--json") for _ in range(3)]
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.5, 3.0))
        victim = started.pop(chance.randrange(len(started)))
        victim.kill()
        started.append(Started(program, "run", "short", "--json"))  # ends what the victim left
    outputs = [one.end() for one in started]
    assert all(output.code == 0 and "Traceback" not in output.stderr for output in outputs), outputs
    runs = program.call("runs", "--json", "--limit", "100").json()
    assert {run["state"] for run in runs} <= {"succeeded", "cancelled"}
    spans = times_in_environment(since, ids(program))
    assert len(spans) >= sum(run["state"] == "succeeded" for run in runs) >= 3
    assert overlaps(spans) == []
    assert remains(program) == []


def test_two_at_once_would_be_noticed(since: str) -> None:
    """The negative control: two containers with the labels of two runs, up at the same time."""
    made = []
    try:
        for run in ("locks-control-1", "locks-control-2"):
            labels = [f"--label=flow.{name}={value}" for name, value in (("run", run), ("step", "deploy"))]
            command = ["docker", "run", "--detach", "--init", *labels, "flow-demo/busybox", "sleep", "300"]
            made.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
    finally:
        subprocess.run(["docker", "rm", "--force", *made], check=True, capture_output=True)
    spans = times_in_environment(since, ["locks-control-1", "locks-control-2"])
    assert len(spans) == 2
    assert overlaps(spans) != []
    assert leftovers(["locks-control-1", "locks-control-2"]) == []
