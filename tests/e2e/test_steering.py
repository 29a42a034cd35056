"""Steering a run while it goes: Ctrl-C, signals, other terminals, two runs at once."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from flowbuild.testing.program import LIMIT, Program, Started, make_repository, remains

PIPELINES = """
x-box: &box {image: flow-demo/busybox}
pipelines:
  polite:
    steps:
      work:
        compose:
          services:
            work: {<<: *box, command: [sh, -c, "trap 'echo asked to stop; exit 0' TERM; echo working; sleep 300 & wait"]}
        success: [next]
        fail: [next]
      next: {compose: {services: {next: {<<: *box, command: [echo, not reached]}}}}
  deaf:
    steps:
      work: {compose: {services: {work: {<<: *box, command: [sh, -c, "trap '' TERM; echo working; sleep 300"]}}}}
  lingering:
    steps:
      server:
        background: true
        compose: {services: {web: {<<: *box, command: [sh, -c, "trap '' TERM; sleep 300"]}}}
        success: [work]
      work: {compose: {services: {work: {<<: *box, command: [echo, done]}}}}
  gated:
    steps:
      release:
        environment: {name: prod, approve: [me]}
        compose: {services: {release: {<<: *box, command: [echo, released]}}}
  locked:
    steps:
      deploy:
        environment: {name: prod}
        compose: {services: {deploy: {<<: *box, command: [sh, -c, "echo deploying; sleep 2"]}}}
  changed:
    variables: {NAME: nobody}
    steps:
      before: {compose: {services: {before: {<<: *box, command: [sh, -c, "echo one > file"]}}}, success: [here]}
      here:
        compose: {services: {here: {<<: *box, command: [sh, -c, "echo $$NAME > result; cat file"]}}}
        success: [after]
      after: {compose: {services: {after: {<<: *box, command: [cat, result]}}}}
  meeting:
    variables: {OTHER: nobody}
    steps:
      server:
        background: true
        compose:
          services:
            web: {<<: *box, init: true, command: [sh, -c, "hostname -i > /tmp/index.html; httpd -f -p 8000 -h /tmp"]}
        success: [client]
      client:
        compose:
          services:
            client:
              <<: *box
              command:
                - sh
                - -c
                - |
                  # Names through nslookup: those of a static busybox's own resolver end in a crash.
                  address() { case $$1 in [0-9]*) echo $$1;; *) nslookup $$1 | sed -n '/^Name/,$$s/^Address: //p';; esac; }
                  get() { printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' | nc -w 3 $$(address $$1) 8000 | tail -n 1; }
                  echo own $$(get web.server)
                  get $$OTHER | grep -q . && echo reached the other
                  echo ready
                  until test -e stop; do sleep 0.1; done
"""

pytestmark = pytest.mark.docker


@pytest.fixture
def program(tmp_path: Path) -> Program:
    source = tmp_path / "source"
    source.mkdir()
    (source / ".flow.yml").write_text(PIPELINES)
    return Program(
        home=tmp_path / "home", directory=make_repository(source, tmp_path / "repository", message="Steering")
    )


def run_of(line: str) -> str:
    return str(json.loads(line)["run"])


def check_gone(program: Program) -> None:
    assert remains(program) == []


def outcome(view: dict[str, Any], step: str) -> tuple[str | None, str | None]:
    found = next(found for found in view["steps"] if found["key"] == step)
    return found["outcome"], found["reason"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_ends_a_run_gracefully(program: Program, number: signal.Signals) -> None:
    started = Started(program, "run", "polite", "--json")
    started.wait_for("working")
    started.process.send_signal(number)
    output = started.end()
    assert output.code == 4, output.text
    view = program.show()
    assert view["state"] == "cancelled"
    assert outcome(view, "work") == ("cancelled", "user")
    assert outcome(view, "next")[0] in ("cancelled", "skipped")
    assert "asked to stop" in program.call("logs", "last", "work").stdout
    check_gone(program)


def test_a_second_ctrl_c_kills_at_once(program: Program) -> None:
    started = Started(program, "run", "deaf", "--json")
    started.wait_for("working")
    started.process.send_signal(signal.SIGINT)
    started.wait_for('"phase": "stopping"')
    begun = time.monotonic()
    started.process.send_signal(signal.SIGINT)
    output = started.end()
    assert output.code == 4, output.text
    assert time.monotonic() - begun < 8, "the grace of 10 s was waited for"
    check_gone(program)


def test_ctrl_c_on_a_terminal(program: Program) -> None:
    """The key itself: the terminal sends the signal to the whole foreground group."""
    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover - the other process
        try:
            os.chdir(program.directory)
            environment = {**os.environ, "FLOW_HOME": str(program.home), "TERM": "xterm-256color"}
            flow = str(Path(sys.executable).with_name("flow"))
            os.execve(flow, [flow, "run", "polite"], environment)
        finally:
            os._exit(127)
    seen, pressed, deadline = b"", False, time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1.0)[0]:
            continue
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        seen += piece
        if not pressed and b"working" in seen:
            os.write(terminal, b"\x03")
            pressed = True
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4, seen.decode(errors="replace")
    assert b"Traceback" not in seen
    assert outcome(program.show(), "work") == ("cancelled", "user")
    check_gone(program)


@pytest.mark.parametrize("force", [False, True])
def test_cancel_from_another_terminal(program: Program, force: bool) -> None:  # noqa: FBT001 - a parameter of the test
    started = Started(program, "run", "deaf" if force else "polite", "--json")
    run = run_of(started.wait_for("attempt_started"))
    started.wait_for("working")
    begun = time.monotonic()
    assert program.call("cancel", run, *(["--force"] if force else [])).code == 0
    output = started.end()
    assert output.code == 4, output.text
    assert time.monotonic() - begun < 9
    assert outcome(program.show(run), "work") == ("cancelled", "user")
    check_gone(program)


def test_a_run_killed_when_only_its_server_was_left_keeps_its_outcome(program: Program) -> None:
    started = Started(program, "run", "lingering", "--json")
    run = run_of(started.wait_for('"phase": "stopping"'))
    started.kill()
    output = program.call("run", "locked", "--json")
    assert output.code == 0, output.text
    assert "was interrupted when all of its steps had ended" in output.stderr
    view = program.show(run)
    assert view["state"] == "succeeded"
    assert outcome(view, "server") == outcome(view, "work") == ("succeeded", None)
    check_gone(program)


@pytest.mark.parametrize(("verb", "code", "ended"), [("approve", 0, "succeeded"), ("reject", 1, "failed")])
def test_approval_from_another_terminal(program: Program, verb: str, code: int, ended: str) -> None:
    started = Started(program, "run", "gated", "--json")
    run = run_of(started.wait_for('"run"'))
    deadline = time.monotonic() + 30
    while (done := program.call(verb, run, "release", "-m", "fine")).code and time.monotonic() < deadline:
        assert "does not wait" in done.stderr
    assert done.code == 0, done.text
    output = started.end()
    assert output.code == code, output.text
    assert outcome(program.show(run), "release")[0] == ended
    check_gone(program)


def test_looking_from_another_terminal(program: Program) -> None:
    started = Started(program, "run", "polite", "--json")
    started.wait_for("working")
    watching = Started(program, "watch", "last", "--json")
    following = Started(program, "logs", "last", "work", "-f")
    watching.wait_for("working")
    following.wait_for("working")
    started.process.send_signal(signal.SIGINT)
    assert started.end().code == 4
    assert watching.end().code == 4
    followed = following.end()
    assert (followed.code, followed.stdout.count("asked to stop")) == (0, 1)
    check_gone(program)


def test_who_follows_an_interrupted_run_is_told_so(program: Program) -> None:
    started = Started(program, "run", "polite", "--json")
    started.wait_for("working")
    commands = (["watch", "last", "--json"], ["watch", "last", "--plain"], ["logs", "last", "work", "-f"])
    followers = [Started(program, *command) for command in commands]
    for follower in followers:
        follower.wait_for("working")
    started.kill()
    machine, person, log = (follower.end() for follower in followers)
    assert [output.code for output in (machine, person, log)] == [5, 5, 5]
    assert [event["type"] for event in machine.events()][-1] == "run_interrupted"
    assert "interrupted" in person.stdout
    for advice in (person.stdout, log.stderr):
        assert "flow resume 1" in advice
    late = program.call("logs", "last", "-f")
    assert (late.code, late.stdout) == (5, "work/work | working\n")
    assert "interrupted" in program.call("runs").stdout
    resumed = Started(program, "resume", "--json")
    resumed.wait_for('"phase": "run"')
    assert program.call("cancel", "last").code == 0
    assert resumed.end().code == 4
    assert program.call("logs", "last", "work", "-f").code == 0
    check_gone(program)


def test_two_runs_of_a_project_at_once(program: Program) -> None:
    """Both finish, have different numbers, and wait for each other where an environment is exclusive."""
    begun = time.monotonic()
    both = [Started(program, "run", "locked", "--json") for _ in range(2)]
    outputs = [started.end() for started in both]
    assert [output.code for output in outputs] == [0, 0], outputs
    assert time.monotonic() - begun < 25, "the second one was not told that the lock is free"
    ends = [output.events()[-1] for output in outputs]
    assert {end["number"] for end in ends} == {1, 2}
    views = [program.show(end["run"]) for end in ends]
    (first, second) = sorted(
        (view["steps"][0]["attempts"][0]["started_at"], view["steps"][0]["attempts"][0]["finished_at"])
        for view in views
    )
    assert first[1] <= second[0], "both were in the environment"
    check_gone(program)


def test_runs_do_not_reach_each_other(program: Program) -> None:
    """`web.server` is the run's own; neither the name nor the address of another run's service leads anywhere."""
    first = Started(program, "run", "meeting", "--json")
    line = json.loads(first.wait_for('"own '))
    address = line["data"].split("own ")[1].split()[0]
    second = Started(program, "run", "meeting", "--json", "-v", f"OTHER={address}")
    answer = json.loads(second.wait_for('"own '))["data"].split("own ")[1].split()[0]
    assert answer != address
    assert "ready" in second.wait_for("ready")
    for started in (second, first):
        started.process.send_signal(signal.SIGINT)
        output = started.end()
        assert output.code == 4
        if started is second:
            assert "reached the other" not in output.stdout
    check_gone(program)


def test_an_address_of_the_own_run_is_reached(program: Program) -> None:
    """The negative control: the client of that test can reach what it is meant to reach."""
    started = Started(program, "run", "meeting", "--json", "-v", "OTHER=web.server")
    started.wait_for("reached the other")
    started.process.send_signal(signal.SIGINT)
    assert started.end().code == 4


def test_rerun_from_a_step_with_another_variable(program: Program) -> None:
    """Nothing before it runs again: the engine's own events say so."""
    first = program.call("run", "changed", "--json")
    assert first.code == 0, first.text
    since = f"{time.time():.9f}"
    again = program.call("rerun", "last", "--from", "here", "-v", "NAME=somebody", "--json")
    assert again.code == 0, again.text
    run = again.events()[-1]["run"]
    listed = subprocess.run(
        ["docker", "events", "--since", since, "--until", f"{time.time():.9f}", "--filter", f"label=flow.run={run}",
         "--filter", "type=container", "--filter", "event=start", "--format", '{{index .Actor.Attributes "flow.step"}}'],
        check=True, capture_output=True, text=True, timeout=60,
    ).stdout.split()  # fmt: skip
    assert listed == ["here", "after"]
    assert program.call("logs", run, "after").stdout.split()[-1] == "somebody"
    assert [step["reused"] for step in program.show(run)["steps"]] == [True, False, False]
    for arguments, text in ((["here"], "nobody"), (["here", "--output"], "nobody")):
        shown = program.call("debug", "1", *arguments, "--", "sh", "-c", "echo $NAME; cat file; ls")
        assert shown.code == 0, shown.text
        assert text in shown.stdout
        assert "one" in shown.stdout
        assert ("result" in shown.stdout) == ("--output" in arguments)
    check_gone(program)


def test_a_run_goes_on_when_nobody_reads_its_output(program: Program) -> None:
    process = program.start("run", "changed")
    assert process.stdout is not None
    assert "changed #1" in process.stdout.readline()
    process.stdout.close()
    told = process.communicate(timeout=LIMIT)[1]
    assert (process.returncode, told.count("\n")) == (0, 1), told
    assert "the run goes on" in told
    assert program.show()["state"] == "succeeded"
    check_gone(program)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_debug_shell_that_is_ended_leaves_nothing(program: Program, number: signal.Signals) -> None:
    assert program.call("run", "changed").code == 0
    started = Started(program, "debug", "last", "before", "--", "sh", "-c", "echo here; sleep 300")
    started.wait_for("here")
    started.process.send_signal(number)
    assert started.end().code == 128 + number
    assert remains(program) == []
