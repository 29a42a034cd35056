"""The program as a process: what it loads, its exit codes, what it says when it cannot."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowbuild.testing.home import Home, step
from flowbuild.testing.program import Program

FLOW = [str(Path(sys.executable).with_name("flow"))]
PROBE = """
import sys
import flowbuild.__main__ as program
from flowbuild.cli.main import run_program
run_program(program.connect, {arguments})
loaded = {{name.partition(".")[0] for name in sys.modules}} | set(sys.modules)
print(sorted(loaded & {{"sqlalchemy", "aiodocker", "aiohttp", "rich", "alembic", "flowbuild.wiring", "flowbuild.store.database"}}))
"""


@pytest.fixture
def program(tmp_path):
    home = Home(tmp_path)
    home.write({"a": step(more={"secrets": ["KEY"]})}, inputs={"n": {"type": "number", "default": 1}})
    return Program(home.data, home.project, {"DOCKER_HOST": f"unix://{tmp_path}/no.sock"})


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["schema"]])
def test_what_is_not_needed_is_not_loaded(arguments):
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(arguments=arguments)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ([], 2, "Usage"),
        (["--help"], 0, "Usage"),
        (["nonsense"], 2, "nonsense"),
        (["run", "--nonsense"], 2, "--nonsense"),
        (["runs", "-n", "0"], 2, "--limit"),
        (["show"], 2, "RUN"),
        (["show", "7"], 2, "there is no run '7'"),
        (["show", "²"], 2, "there is no run"),
        (["show", ""], 2, "there is no run"),
        (["logs", "last"], 2, "there is no run"),
        (["resume"], 3, "no.sock"),
        (["run", "-i", "n"], 2, "NAME=VALUE"),
        (["run", "--secret", "NOT_SET_ANYWHERE"], 2, "environment"),
        (["run", "--secret-file", "missing.env"], 2, "missing.env"),
        (["run", "--secret-file", "bad.env"], 2, "bad.env:2:1"),
        (["run", "--secret-file", "binary.env"], 2, "binary.env"),
        (["run", "--secret-file", "."], 2, "cannot be read"),
        (["run", "--secret", "KEY=12345678"], 3, "no.sock"),
        (["run", "-C", "/nonexistent"], 3, "no.sock"),
        (["runs"], 0, ""),
        (["cancel", "last"], 2, "there is no run"),
        (["validate"], 0, "no errors"),
    ],
)
def test_exit_codes(program, arguments, code, text):
    (program.directory / "bad.env").write_text("# comment\nno equals sign\n")
    (program.directory / "binary.env").write_bytes(b"A=\xff\n")
    done = program.call(*arguments)
    assert done.code == code, done.text
    assert text in done.text
    assert "Traceback" not in done.text


def test_findings_as_json(program):
    (program.directory / ".flow.yml").write_text("pipelines: {p: {steps: {a: {success: [b]}}}}\n")
    done = program.call("validate", "--format", "json")
    report = done.json()
    assert (done.code, report["valid"]) == (2, False)
    assert {"file", "line", "column", "code"} <= report["findings"][0].keys()


@pytest.mark.parametrize("variable", ["FLOW_CAPACITY", "FLOW_LOG_LEVEL"])
def test_settings_that_are_wrong(program, variable):
    done = program.call("runs", environment={variable: "lots"})
    assert (done.code, "Traceback" in done.text) == (2, False)
    assert variable in done.stderr


def test_nobody_reads_the_output(program):
    process = subprocess.Popen([*FLOW, "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert (process.wait(), process.stderr.read()) == (0, "")
    process.stderr.close()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", ["runs", "schema", "validate", "show 7"])
def test_closed_descriptors(program, command, closed):
    done = subprocess.run(
        ["sh", "-c", f'"$0" {command} {closed}', *FLOW],
        cwd=program.directory,
        env={**os.environ, "FLOW_HOME": str(program.home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode == (2 if command == "show 7" else 0)


def test_a_directory_whose_name_is_no_text(program, tmp_path):
    odd = os.fsencode(tmp_path) + b"/\xff\xfe"
    os.rename(program.directory, odd)  # noqa: PTH104
    done = subprocess.run(
        [*FLOW, "runs", "--json"],
        cwd=odd,
        env={**os.environ, "FLOW_HOME": str(program.home)},
        capture_output=True,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    assert (done.returncode, json.loads(done.stdout or b"null")) in ((0, []), (2, None))


def test_a_home_that_cannot_be_written(program):
    program.home.parent.mkdir(exist_ok=True)
    program.home.write_text("a file in the way")
    done = program.call("runs")
    assert (done.code, "Traceback" in done.text) == (3, False)
