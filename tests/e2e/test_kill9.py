"""kill -9 of `flow run` at random moments: no run is lost, nothing runs twice, nothing is left behind.

FLOW_KILLS says how often (default 3: once for each way to go on), FLOW_SEED where the random moments come from. The ledger is the engine's own record of
started containers, which the program cannot change. FLOW_KILLS_TABLE names a file for the table of a long test.
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
from typing import Any

import pytest

from flowbuild.testing.program import Program, finish, git, leftovers, make_repository, remains

KILLS = int(os.environ.get("FLOW_KILLS", "3"))
SEED = int(os.environ.get("FLOW_SEED", "1"))
EXPECTED = {"a": "a\n", "b": "a\nb\n", "c": "a\nc\n", "d": "a\na\nb\na\nc\n"}
# What goes on after a crash is asked for, found by the next run, or crashes too and is asked for again.
RECOVERIES = ("resume", "run", "resume killed")
LINES = 20  # that every plain step prints, half of them before its pause

PIPELINE = """
x-box: &box {image: flow-demo/busybox}
pipelines:
  crash:
    steps:
      a:
        compose: {services: {a: {<<: *box, command: [sh, -c, "seq 10; sleep 0.3; echo a > a; seq 11 20"]}}}
        success: [server, b, c]
      server:
        background: true
        compose: {services: {web: {<<: *box, command: [sleep, "600"], init: true}}}
      b:
        compose: {services: {b: {<<: *box, command: [sh, -c, "seq 10; sleep 0.5; cat a > b; echo b >> b; seq 11 20"]}}}
        success: [d]
      c:
        compose: {services: {c: {<<: *box, command: [sh, -c, "seq 10; sleep 0.2; cat a > c; echo c >> c; seq 11 20"]}}}
        success: [d]
      d:
        compose: {services: {d: {<<: *box, command: [sh, -c, "seq 10; sleep 0.3; cat a b c > d; seq 11 20"]}}}
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
        result.starts.append(tuple(attributes.get(name, "") for name in names))


@pytest.fixture
def program(tmp_path: Path) -> Program:
    source = tmp_path / "source"
    source.mkdir()
    (source / ".flow.yml").write_text(PIPELINE)
    return Program(home=tmp_path / "home", directory=make_repository(source, tmp_path / "repository", message="Crash"))


@pytest.mark.slow
@pytest.mark.timeout(300 + 60 * KILLS)
def test_kill_9(program: Program) -> None:
    chance = random.Random(SEED)
    whole = duration(program)
    known = {run["id"] for run in runs(program)}
    table: Counter[tuple[str, str]] = Counter()
    for kill in range(KILLS):
        recovery = RECOVERIES[kill % len(RECOVERIES)]
        moment = chance.uniform(0.1, 1.05) * whole
        with ledger() as recorded:
            announced = killed_program(program, moment, "run", "--json")
            if recovery == "resume killed":
                announced += killed_program(program, chance.uniform(0.1, 0.8) * whole, "resume", "--json")
            output = program.call(recovery.split()[0], "--json")
            views = [run for run in runs(program) if run["id"] not in known]
        place = f"seed {SEED}, kill {kill} after {moment:.3f} of {whole:.3f} s, then {recovery}: {output.text}"
        assert "Traceback" not in output.stderr, place
        assert set(announced) <= {run["id"] for run in views}, f"a run that was announced is lost: {place}"
        views = [run for run in views if recovery != "run" or run != views[0]]  # without that of the recovery
        assert len(views) <= 1, place
        for view in views:
            check_outcome(program, view, recovery, place)
            assert not [start for start, count in recorded.of(view["id"]).items() if count > 1], place
        known |= {run["id"] for run in runs(program)}
        assert remains(program) == [], place
        table[recovery, views[0]["state"] if views else "killed before the run began"] += 1
        report(table)


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


def killed_program(program: Program, moment: float, *arguments: str) -> list[str]:
    """Start the program, kill it after `moment` seconds unless it ended, return the runs that it announced."""
    process = program.start(*arguments)
    with suppress(subprocess.TimeoutExpired):
        process.wait(moment)
    process.kill()
    output = finish(process)
    announced = []
    for line in output.stdout.splitlines():
        with suppress(json.JSONDecodeError):  # the last line may be cut
            announced += [json.loads(line).get("run")]
    return sorted({run for run in announced if run})


def runs(program: Program) -> list[dict[str, Any]]:
    """All runs with their steps, the newest first."""
    output = program.call("runs", "--json", "--limit", "1000")
    assert output.code == 0, output.text
    found: list[dict[str, Any]] = output.json()
    return found


def check_outcome(program: Program, view: dict[str, Any], recovery: str, place: str) -> None:
    """A run succeeds with the right files and output, or says what was interrupted: never anything in between."""
    reasons = {step["key"]: (step["outcome"], step["reason"]) for step in view["steps"]}
    if view["state"] == "cancelled":
        assert recovery == "run", place
        assert ("cancelled", "interrupted") in reasons.values(), f"{reasons} {place}"
        return
    assert view["state"] == "succeeded", f"{reasons} {place}"
    repository = Path(view["repository"])
    git(repository, "fsck", "--strict")
    for name, content in EXPECTED.items():
        assert git(repository, "show", f"main:workspace/{name}") == content, place
    log = program.call("logs", view["id"]).stdout
    counted = Counter(line.split()[-1] for line in log.splitlines())
    assert counted == {str(number): len(EXPECTED) for number in range(1, LINES + 1)}, f"{log} {place}"


def report(table: Counter[tuple[str, str]]) -> None:
    """Write how the runs have ended until now, by recovery."""
    lines = [f"{recovery:15} {state:28} {count:5}" for (recovery, state), count in sorted(table.items())]
    if path := os.environ.get("FLOW_KILLS_TABLE"):
        Path(path).write_text("\n".join(lines) + "\n")
