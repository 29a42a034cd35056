"""kill -9 of `flow run` at random moments: no run is lost, nothing runs twice, nothing is left behind.

FLOW_KILLS says how often (default 4), FLOW_SEED where the random moments come from. The ledger is the engine's own record of
started containers, which the program cannot change.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from flowbuild.testing.program import Program, finish, git, leftovers, make_repository

KILLS = int(os.environ.get("FLOW_KILLS", "4"))
SEED = int(os.environ.get("FLOW_SEED", "1"))
FINAL = {"succeeded", "failed", "errored", "cancelled"}
EXPECTED = {"a": "a\n", "b": "a\nb\n", "c": "a\nc\n", "d": "a\na\nb\na\nc\n"}

PIPELINE = """
x-box: &box {image: flow-demo/busybox}
pipelines:
  crash:
    steps:
      a:
        compose: {services: {a: {<<: *box, command: [sh, -c, "sleep 0.3; echo a > a"]}}}
        success: [server, b, c]
      server:
        background: true
        compose: {services: {web: {<<: *box, command: [sleep, "600"], init: true}}}
      b:
        compose: {services: {b: {<<: *box, command: [sh, -c, "sleep 0.5; cat a > b; echo b >> b"]}}}
        success: [d]
      c:
        compose: {services: {c: {<<: *box, command: [sh, -c, "sleep 0.2; cat a > c; echo c >> c"]}}}
        success: [d]
      d:
        compose: {services: {d: {<<: *box, command: [sh, -c, "sleep 0.3; cat a b c > d"]}}}
"""

pytestmark = pytest.mark.docker


@dataclass
class Ledger:
    """Containers that the engine started: (run, step, attempt, epoch, service)."""

    starts: list[tuple[str, ...]] = field(default_factory=list)

    def of(self, run: str) -> Counter[tuple[str, ...]]:
        return Counter(start for start in self.starts if start[0] == run)


@contextmanager
def ledger() -> Iterator[Ledger]:
    """Record every start of a labelled container until the block ends, all of them included."""
    begun = f"{time.time():.9f}"
    result = Ledger()
    yield result
    command = [
        "docker",
        "events",
        "--since",
        begun,
        "--until",
        f"{time.time():.9f}",
        "--format",
        "{{json .Actor.Attributes}}",
    ]
    command += ["--filter", "type=container", "--filter", "event=start", "--filter", "label=flow.run"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    for attributes in map(json.loads, listed.splitlines()):
        names = ("flow.run", "flow.step", "flow.attempt", "flow.epoch", "flow.service")
        result.starts.append(tuple(attributes[name] for name in names))


@pytest.fixture
def program(tmp_path: Path) -> Program:
    source = tmp_path / "source"
    source.mkdir()
    (source / ".flow.yml").write_text(PIPELINE)
    return Program(home=tmp_path / "home", directory=make_repository(source, tmp_path / "repository", message="Crash"))


@pytest.mark.slow
@pytest.mark.timeout(300 + 60 * KILLS)
def test_kill_9(program: Program, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    whole = duration(program)
    for kill in range(KILLS):
        with ledger() as recorded:
            known = run_ids(program)
            moment = chance.uniform(0, whole)
            acknowledged = killed_run(program, moment)
            ids = [run for run in run_ids(program) if run not in known]
            assert len(ids) <= 1
            assert set(acknowledged) <= set(ids), "a run that was announced is lost"
            # What goes on after a crash is either asked for, or the next run finds it.
            recover = ("resume",) if kill % 2 == 0 else ("run", "--json")
            output = program.call(*recover)
            assert "Traceback" not in output.stderr, f"seed {SEED}, kill {kill} after {moment:.2f} s: {output.text}"
        place = f"seed {SEED}, kill {kill} after {moment:.3f} of {whole:.3f} s, then {recover[0]}: {output.text}"
        for run in ids:
            check_outcome(program, run, tmp_path / f"clone-{kill}", place)
            assert not [start for start, count in recorded.of(run).items() if count > 1], place
        assert leftovers(run_ids(program)) == [], place


def test_a_second_start_would_be_noticed() -> None:
    """The negative control of the ledger, with a container of our own that is started twice."""
    labels = {"run": "ledger-control", "step": "s", "attempt": "1", "epoch": "1", "service": "web"}
    command = ["docker", "create", *(f"--label=flow.{name}={value}" for name, value in labels.items())]
    container = subprocess.run(
        [*command, "flow-demo/busybox", "true"], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        assert leftovers(["ledger-control"]) != []
        with ledger() as recorded:
            for _ in range(2):
                subprocess.run(["docker", "start", "--attach", container], check=True, timeout=60)
    finally:
        subprocess.run(["docker", "rm", "--force", container], check=True, capture_output=True)
    assert recorded.of("ledger-control") == {tuple(labels.values()): 2}
    assert leftovers(["ledger-control"]) == []


def duration(program: Program) -> float:
    """Seconds that the pipeline takes when nobody disturbs it."""
    begun = time.monotonic()
    output = program.call("run", "--json")
    assert output.code == 0, output.text
    return time.monotonic() - begun


def killed_run(program: Program, moment: float) -> list[str]:
    """Start a run, kill the program after `moment` seconds unless it ended, return the runs that it announced."""
    process = program.start("run", "--json")
    with suppress(subprocess.TimeoutExpired):
        process.wait(moment)
    process.kill()
    output = finish(process)
    announced = []
    for line in output.stdout.splitlines():
        with suppress(json.JSONDecodeError):  # the last line may be cut
            announced.append(json.loads(line)["run"])
    return sorted(set(announced))


def run_ids(program: Program) -> list[str]:
    output = program.call("runs", "--json", "--limit", "1000")
    assert output.code == 0, output.text
    return [run["id"] for run in output.json()]


def check_outcome(program: Program, run: str, clone: Path, place: str) -> None:
    """A run succeeds with the right files, or says which step was interrupted: never anything in between."""
    view = program.show(run)
    assert view["state"] in {"succeeded", "errored"}, f"{place}: {view['state']}"
    if view["state"] == "errored":
        assert [step for step in view["steps"] if step["outcome"] == "errored" and step["reason"]], place
        return
    assert program.call("clone", run, str(clone)).code == 0
    git(clone, "fsck", "--strict")
    for name, content in EXPECTED.items():
        assert (clone / "workspace" / name).read_text() == content, place
