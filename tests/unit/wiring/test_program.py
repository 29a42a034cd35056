"""The program as a process: what it loads, its exit codes, what it says when it cannot."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from flowbuild.testing.home import Home, step
from flowbuild.testing.program import Program, git

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
        (["--version"], 0, f"flow {version('flow-build-server')}"),
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
        (["run", "-C", "/nonexistent"], 2, "/nonexistent is not a directory"),
        (["runs", "-C", "/nonexistent"], 2, "/nonexistent is not a directory"),
        (["doctor"], 3, "no.sock"),
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


@pytest.mark.parametrize(
    ("variable", "value"),
    [("FLOW_CAPACITY", "lots"), ("FLOW_LOG_LEVEL", "lots"), ("FLOW_NETWORK_POOL", "lots")]
    + [("FLOW_NETWORK_POOL", pool) for pool in ("10.1.0.0/30", "10.1.0.1/16", "fd00::/8")],
)
def test_settings_that_are_wrong(program, variable, value):
    done = program.call("runs", environment={variable: value})
    assert (done.code, "Traceback" in done.text) == (2, False)
    assert variable in done.stderr


def test_nobody_reads_the_output(program):
    process = subprocess.Popen([*FLOW, "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert (process.wait(), process.stderr.read()) == (0, "")
    process.stderr.close()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", ["runs", "schema", "validate", "show 7", "run --secret KEY=12345678"])
def test_closed_descriptors(program, command, closed):
    done = subprocess.run(
        ["sh", "-c", f'"$0" {command} {closed}', *FLOW],
        cwd=program.directory,
        env={**os.environ, **program.environment, "FLOW_HOME": str(program.home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode == {"show 7": 2, "run --secret KEY=12345678": 3}.get(command, 0)


FIRST_FILE = "import os, flowbuild.__main__ as program; program._open_streams(); print(os.open('/', os.O_RDONLY), file=open(3, 'w'))"


@pytest.mark.parametrize("closed", ["", "<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_no_file_takes_the_place_of_a_closed_descriptor(closed, tmp_path):
    command = f'exec "$0" -c "$1" {closed} 3>"$2"'
    subprocess.run(["sh", "-c", command, sys.executable, FIRST_FILE, tmp_path / "number"], check=True)
    assert int((tmp_path / "number").read_text()) > 2


@pytest.mark.parametrize("arguments", [["doctor"], ["run", "--secret", "NOT_SET"]])
def test_a_terminal_that_does_not_know_the_characters(program, arguments):
    done = program.call(*arguments, environment={"PYTHONIOENCODING": "ascii"})
    assert "Traceback" not in done.text
    assert done.text


NAMELESS = """
import os, sys, pwd
os.environ = {key: value for key, value in os.environ.items() if key not in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME")}
def unknown(uid): raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = unknown
from flowbuild import __main__ as program
sys.argv = ["flow", "runs"]
program.main()
"""


def test_a_user_without_a_name(program, tmp_path):
    """As in a container that was started with a number for a user."""

    def call(**environment):
        env = {key: value for key, value in os.environ.items() if not key.startswith(("HOME", "XDG_", "FLOW_"))}
        argv = [sys.executable, "-c", NAMELESS]
        return subprocess.run(
            argv, cwd=program.directory, env=env | environment, capture_output=True, text=True, check=False
        )

    done = call(FLOW_HOME=str(tmp_path / "home"))
    assert (done.returncode, done.stderr) == (0, "")
    done = call()
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "FLOW_HOME" in done.stderr


def test_ctrl_c_while_it_starts(program):
    """A module that takes for ever to load stands for all others."""
    slow = program.directory / "typer.py"
    slow.write_text("import sys, time\nprint('loading', flush=True)\ntime.sleep(600)\n")
    process = program.start("runs", environment={"PYTHONPATH": str(program.directory)})
    assert process.stdout.readline() == "loading\n"
    process.send_signal(signal.SIGINT)
    assert (process.wait(), process.communicate()[1]) == (-signal.SIGINT, "")


def test_names_in_messages_do_not_act_on_the_terminal(program):
    name = "\x1b]0;title\x07\n\u202e"
    evil = program.directory.parent / name
    program.directory.rename(evil)
    for arguments in (["show", name], ["run", "-C", f"{name}x"], ["run", name], ["validate", f"{name}.yml"]):
        done = subprocess.run(
            [*FLOW, *arguments],
            cwd=evil,
            env={**os.environ, **program.environment, "FLOW_HOME": str(program.home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 0
        assert (done.stdout + done.stderr).replace("\n", "").isprintable()


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


def test_a_home_inside_of_the_repository_is_no_part_of_it(program):
    inside = replace(program, home=program.directory / "data")
    assert inside.call("runs").code == 0
    assert list(inside.home.iterdir())
    assert git(program.directory, "status", "--porcelain") == ""


def test_nobody_else_can_read_what_is_in_the_home(program):
    """Also when the directory was there before: a workspace may hold programs that run as their owner."""
    program.home.mkdir(mode=0o755)
    assert program.call("runs").code == 0
    assert program.home.stat().st_mode & 0o777 == 0o755
    found = {path.name: path.stat().st_mode & 0o077 for path in program.home.iterdir() if path.name != "gate.lock"}
    assert {"flow.db", "logs", "runs", "work"} <= found.keys()
    assert not any(found.values())


def test_a_home_that_cannot_be_written(program):
    program.home.parent.mkdir(exist_ok=True)
    program.home.write_text("a file in the way")
    done = program.call("runs")
    assert (done.code, "Traceback" in done.text) == (3, False)
