"""kill -9 of the engine, or of its containerd, under a running step. Each test kills an engine of its own."""

from __future__ import annotations

import os
import select
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowbuild.testing.nested import Nested
from flowbuild.testing.program import Program, Started, make_repository

PIPELINES = """
x-box: &box {image: flow-demo/busybox}
pipelines:
  main:
    steps:
      work:
        compose: {services: {work: {<<: *box, command: [sh, -c, "echo working; until test -e go; do sleep 0.1; done; echo done"]}}}
        fail: [mail]
      mail: {compose: {services: {mail: {<<: *box, command: [echo, mailed]}}}}
  other: {steps: {work: {compose: {services: {work: {<<: *box, command: [echo, other]}}}}}}
"""

FORGOTTEN = 17.0  # seconds after which nobody tells a new containerd any more how a container ended: 15 and a little

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest.fixture
def engine() -> Iterator[Nested]:
    nested = Nested(Path(tempfile.mkdtemp(prefix="flow-")))
    try:
        nested.start()
        nested.ready()
        nested.load("flow-demo/busybox")
        yield nested
    finally:
        nested.clean()


@pytest.fixture
def program(tmp_path: Path, engine: Nested) -> Program:
    source = tmp_path / "source"
    source.mkdir()
    (source / ".flow.yml").write_text(PIPELINES)
    repository = make_repository(source, tmp_path / "repository", message="Lost")
    return Program(home=tmp_path / "home", directory=repository, environment={"DOCKER_HOST": engine.host})


def started(program: Program) -> Started:
    running = Started(program, "run", "main", "--json")
    running.wait_for("working")
    return running


def steps(program: Program) -> dict[str, tuple[Any, Any, str]]:
    return {step["key"]: (step["outcome"], step["reason"], step["message"]) for step in program.show()["steps"]}


def remains(engine: Nested) -> str:
    return engine.docker("ps", "--all", "--quiet") + engine.docker(
        "network", "ls", "--quiet", "--filter", "label=flow.run"
    )


def test_an_engine_that_comes_back(program: Program, engine: Nested) -> None:
    running = started(program)
    engine.stop(signal.SIGKILL)
    engine.start()
    output = running.end()
    assert output.code == 3, output.text
    found = steps(program)
    assert found["work"][:2] == ("errored", "infra_lost")
    assert "restart of the engine" in found["work"][2]
    assert found["mail"][0] == "succeeded"
    assert remains(engine) == ""


def test_an_engine_that_stays_away(program: Program, engine: Nested) -> None:
    running = started(program)
    engine.stop(signal.SIGKILL)
    output = running.end()
    assert output.code == 3, output.text
    assert "start the engine" in output.stdout
    assert "Traceback" not in output.stderr
    assert {found[0] for found in steps(program).values()} == {"errored"}
    engine.start()
    engine.ready()
    assert remains(engine) != ""  # nobody could remove it
    again = program.call("run", "other", "--json")
    assert again.code == 0, again.text
    assert remains(engine) == ""


def test_a_step_goes_on_without_containerd(program: Program, engine: Nested) -> None:
    """Nothing of it is lost, so nothing is made of it."""
    running = started(program)
    os.kill(engine.containerd(), signal.SIGKILL)
    engine.whole(engine.docker("ps", "--quiet").strip())
    _go(program)
    output = running.end()
    assert output.code == 0, output.text
    assert program.call("logs", "last", "work", "--service", "work").stdout == "working\ndone\n"
    assert remains(engine) == ""


def test_a_step_that_ends_without_containerd(program: Program, engine: Nested) -> None:
    """The engine never learns of that and calls it running for ever; the kernel knows."""
    running = started(program)
    _end_without_containerd(program, engine, FORGOTTEN)
    output = running.end()
    assert output.code == 3, output.text
    found = steps(program)
    assert found["work"][:2] == ("errored", "infra_lost")
    assert "does not know how" in found["work"][2]
    assert found["mail"][0] == "succeeded"
    assert remains(engine) == ""


def test_an_end_that_the_engine_learns_late(program: Program, engine: Nested) -> None:
    """What watched the container tells the next containerd: nothing is lost, so nothing is made of it."""
    running = started(program)
    _end_without_containerd(program, engine, 0.0)
    output = running.end()
    assert output.code == 0, output.text
    assert steps(program)["work"][0] == "succeeded"
    assert remains(engine) == ""


def _end_without_containerd(program: Program, engine: Nested, seconds: float) -> None:
    """Let the step end while there is no containerd, and none for some seconds more."""
    container = engine.docker("ps", "--quiet").strip()
    process = os.pidfd_open(int(engine.docker("inspect", "--format", "{{.State.Pid}}", container)))
    assert engine.process is not None
    engine.process.send_signal(signal.SIGSTOP)  # it would start another one
    try:
        os.kill(engine.containerd(), signal.SIGKILL)
        _go(program)
        assert select.select([process], [], [], 60)[0], "the container did not end"
        time.sleep(seconds)
    finally:
        os.close(process)
        engine.process.send_signal(signal.SIGCONT)


def _go(program: Program) -> None:
    (workspace,) = program.home.glob("work/*/work.1.1/workspace")
    (workspace / "go").touch()
