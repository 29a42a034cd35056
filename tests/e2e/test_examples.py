"""Every directory of `examples/` is a case: its `expect.json` says what `flow` makes of it. A new case needs no code."""

from __future__ import annotations

import copy
import email
import hashlib
import json
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowbuild.testing.program import Output, Program, finish, git, leftovers, make_repository

EXAMPLES = Path(__file__).parents[2] / "examples"
STEP_KEYS = {
    "outcome", "reason", "attempts", "exit_code", "message", "log", "log_absent", "diff", "reused", "cached",
}  # fmt: skip
SCENARIO_KEYS = {
    "name", "command", "args", "env", "write", "interrupt", "exit", "state", "steps", "only_steps", "variables",
    "files", "absent", "mail", "output", "nowhere", "untouched", "then",
}  # fmt: skip

pytestmark = pytest.mark.docker


def cases() -> list[Any]:
    """One parameter per scenario of every example."""
    found = []
    for path in sorted(EXAMPLES.glob("*/expect.json")):
        expectation = json.loads(path.read_text())
        found += [
            pytest.param(
                path.parent, expectation.get("repository", {}), scenario, id=f"{path.parent.name}: {scenario['name']}"
            )
            for scenario in expectation["scenarios"]
        ]
    return found


@pytest.mark.parametrize(("example", "repository", "scenario"), cases())
def test_example(example: Path, repository: dict[str, Any], scenario: dict[str, Any], tmp_path: Path) -> None:
    program = prepare(example, repository, tmp_path)
    play(program, scenario, tmp_path)
    assert leftovers([run["id"] for run in program.look("runs", "--json").json()]) == []


def test_every_example_is_a_case() -> None:
    without = [path.name for path in EXAMPLES.iterdir() if path.is_dir() and not (path / "expect.json").exists()]
    assert without == []
    assert len(cases()) >= 25


def test_wrong_expectations_are_noticed(tmp_path: Path) -> None:
    """The negative control: a harness that accepts everything would accept these."""
    example = EXAMPLES / "01_hello"
    right = json.loads((example / "expect.json").read_text())["scenarios"][0]
    program = prepare(example, {}, tmp_path)
    output = play(program, right, tmp_path)
    wrong: list[dict[str, Any]] = [
        {"exit": 1},
        {"state": "failed"},
        {"steps": {"read": {"outcome": "failed"}}},
        {"steps": {"read": {"attempts": 2}}},
        {"steps": {"read": {"log": ["good bye"]}}},
        {"steps": {"read": {"cached": True}}},
        {"steps": {"read": {"log_absent": ["hello"]}}},
        {"steps": {"write": {"diff": {"greeting.txt": "D"}}}},
        {"steps": {"nobody": {"outcome": "succeeded"}}},
        {"only_steps": ["write"]},
        {"variables": {"GREETING": "hello"}},
        {"files": {"greeting.txt": "hello"}},
        {"absent": ["greeting.txt"]},
        {"mail": ["hello"]},
        {"nowhere": ["hello, world"]},
        {"steps": {"read": {"outcom": "succeeded"}}},
        {"exitt": 0},
    ]
    for number, change in enumerate(wrong):
        with pytest.raises(AssertionError):
            check(program, copy.deepcopy(right) | change, output, tmp_path / f"wrong-{number}")


def prepare(example: Path, repository: dict[str, Any], tmp_path: Path) -> Program:
    directory = make_repository(
        example, tmp_path / "repository", message=f"Example {example.name}", tag=repository.get("tag")
    )
    return Program(home=tmp_path / "home", directory=directory)


def play(program: Program, scenario: dict[str, Any], tmp_path: Path) -> Output:
    """Do what a scenario says, check what came of it, go on with its `then`."""
    for name, content in scenario.get("write", {}).items():
        path = program.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    program = replace(program, environment=scenario.get("env", {}))
    before = fingerprint(program.directory)
    command = scenario.get("command", ["run"])
    if command[0] in ("run", "rerun"):
        command = [*command, "--json"]
    process = program.start(*command, *scenario.get("args", []))
    output = interrupt(process, scenario["interrupt"]) if "interrupt" in scenario else finish(process)
    if scenario.get("untouched"):
        assert fingerprint(program.directory) == before
    clone = tmp_path / f"clone-{hashlib.sha256(scenario['name'].encode()).hexdigest()[:8]}"
    check(program, scenario, output, clone)
    for following in scenario.get("then", []):
        play(program, following, tmp_path)
    return output


def interrupt(process: subprocess.Popen[str], text: str) -> Output:
    """Press Ctrl-C when the output of the program holds a text."""
    with process:  # closes its pipes
        assert process.stdout is not None
        assert process.stderr is not None
        seen = []
        for line in process.stdout:
            seen.append(line)
            if text in line:
                process.send_signal(signal.SIGINT)
                text = "\0"
        assert text == "\0", "".join(seen)
        return Output(process.wait(), "".join(seen), process.stderr.read())


def check(program: Program, scenario: dict[str, Any], output: Output, clone: Path) -> None:
    """Compare what happened with every expectation of a scenario."""
    assert set(scenario) <= SCENARIO_KEYS, "a misspelt expectation would never be checked"
    assert output.code == scenario["exit"], output.text
    assert "Traceback" not in output.stderr
    for text in scenario.get("output", []):
        assert text in output.text
    if "state" not in scenario:
        return
    finished = output.events()[-1]
    run = program.show(str(finished["run"]))
    assert (finished["type"], finished["state"], run["state"]) == ("run_finished", scenario["state"], scenario["state"])
    steps = {step["key"]: step for step in run["steps"]}
    if "only_steps" in scenario:
        assert sorted(steps) == sorted(scenario["only_steps"])
    for key, expected in scenario.get("steps", {}).items():
        assert key in steps
        check_step(program, run["id"], steps[key], expected)
    check_repository(program, run["id"], scenario, clone)
    for text in scenario.get("nowhere", []):
        check_nowhere(program, run, text, output, clone)


def check_step(program: Program, run: str, step: dict[str, Any], expected: dict[str, Any]) -> None:
    assert set(expected) <= STEP_KEYS, "a misspelt expectation would never be checked"
    place = f"{step['key']}: {step['message']}"
    for name in ("outcome", "reason", "exit_code", "reused", "cached"):
        if name in expected:
            assert step[name] == expected[name], place
    if "attempts" in expected:
        assert len(step["attempts"]) == expected["attempts"], place
    for text in expected.get("message", []):
        assert text in step["message"]
    if expected.get("log") or expected.get("log_absent"):
        log = program.look("logs", run, step["key"]).stdout
        for text in expected.get("log", []):
            assert text in log, place
        for text in expected.get("log_absent", []):
            assert text not in log
    if "diff" in expected:
        files = program.look("diff", run, step["key"], "--json").json()["files"]
        changes = {change["path"]: change["status"] for change in files}
        assert changes == expected["diff"] or (expected["diff"] and changes.items() >= expected["diff"].items())


def check_repository(program: Program, run: str, scenario: dict[str, Any], clone: Path) -> None:
    """Look at what a clone of the run shows: the merge of all results."""
    output = program.look("clone", run, str(clone))
    assert output.code == 0, output.text
    git(clone, "fsck", "--strict")
    for name, content in scenario.get("files", {}).items():
        assert (clone / "workspace" / name).read_text() == content
    for name in scenario.get("absent", []):
        assert not (clone / "workspace" / name).exists()
    for name, value in scenario.get("variables", {}).items():
        path = clone / "variables" / name
        assert path.exists()
        assert path.read_text().rstrip("\n") == value
    if "mail" in scenario:
        mails = [email.message_from_bytes(path.read_bytes()) for path in (clone / "workspace/mail/new").glob("*")]
        assert [mail["Subject"] for mail in mails] == scenario["mail"]


def check_nowhere(program: Program, run: dict[str, Any], text: str, output: Output, clone: Path) -> None:
    """Look for a text in everything that was printed, kept or cloned."""
    assert text not in output.text
    for step in run["steps"]:
        assert text not in program.look("logs", run["id"], step["key"]).text
    holders = [
        path.name
        for top in (program.home, clone)
        for path in top.rglob("*")
        if path.is_file() and text.encode() in path.read_bytes()
    ]
    assert holders == []


def fingerprint(directory: Path) -> tuple[str, ...]:
    """Everything of a user's repository that `flow run` must not change."""
    index = hashlib.sha256((directory / ".git/index").read_bytes()).hexdigest()
    refs = git(directory, "for-each-ref")
    files = git(directory, "--no-optional-locks", "status", "--porcelain", "--untracked-files=all")
    return index, (directory / ".git/HEAD").read_text(), refs, files
