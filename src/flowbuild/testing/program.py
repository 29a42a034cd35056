"""The program `flow` as a user has it: a real process with a data directory of its own, and what it leaves in the engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

# Steps of the tests take seconds; this is for a machine that does many things at once.
LIMIT = 180.0
# An installed program has its byte code. A checkout whose user wants none beside it compiles 400 modules at each start: 3 s.
BYTECODE = {
    "PYTHONDONTWRITEBYTECODE": "",
    "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / f"flow-bytecode-{os.getuid()}"),
}
KINDS = {"container": ("ps", "--all"), "network": ("network", "ls"), "volume": ("volume", "ls")}


@dataclass(frozen=True, slots=True)
class Output:
    """What a call of the program printed and how it ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        """Everything that a person saw."""
        return self.stdout + self.stderr

    def json(self) -> Any:
        """Return the output of a command with `--json`."""
        return json.loads(self.stdout)

    def events(self) -> list[dict[str, Any]]:
        """Return the JSON lines of `flow run --json`."""
        return [json.loads(line) for line in self.stdout.splitlines()]


@dataclass(frozen=True, slots=True)
class Program:
    """`flow` with the data directory `home`, called in `directory`. `command`: how it is started."""

    home: Path
    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = (str(Path(sys.executable).with_name("flow")),)

    def start(
        self, *arguments: str, environment: Mapping[str, str] | None = None, stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[str]:
        """Start the program in a session of its own, so that a signal to it reaches nobody else."""
        own = {"FLOW_HOME": str(self.home), "NO_COLOR": "1"}
        return subprocess.Popen(
            [*self.command, *arguments],
            cwd=self.directory,
            env={**os.environ, **BYTECODE, **self.environment, **(environment or {}), **own},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
            start_new_session=True,
        )

    def call(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Output:
        """Call the program and wait for its end. Raises subprocess.TimeoutExpired when it hangs; it is killed then."""
        return finish(self.start(*arguments, environment=environment))

    def look(self, *arguments: str) -> Output:
        """As `call`, but in this process: for what only looks. To start a program takes a second of a processor each time."""
        from flowbuild.cli.main import run_program  # noqa: PLC0415 (who only starts programs needs nothing of it)
        from flowbuild.wiring import connect  # noqa: PLC0415 (see above)
        from flowbuild.wiring.remote import dial  # noqa: PLC0415 (see above)

        environment = {**self.environment, "FLOW_HOME": str(self.home), "NO_COLOR": "1"}
        with ExitStack() as stack:
            files = [
                stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace"))
                for _ in range(2)
            ]
            stack.enter_context(patch.dict(os.environ, environment))
            stack.enter_context(chdir(self.directory))
            stack.enter_context(redirect_stdout(files[0]))
            stack.enter_context(redirect_stderr(files[1]))
            code = run_program(connect, list(arguments), dial=dial)
            for file in files:
                file.flush()
                file.seek(0)
            return Output(code, *(file.read() for file in files))

    def show(self, run: str = "last") -> dict[str, Any]:
        """Return a run with its steps, edges and attempts."""
        output = self.look("show", run, "--json")
        if output.code:
            raise AssertionError(output.text)
        view: dict[str, Any] = output.json()
        return view


def finish(process: subprocess.Popen[str], limit: float = LIMIT) -> Output:
    """Wait for a started program, at most `limit` seconds."""
    try:
        stdout, stderr = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Output(process.returncode, stdout, stderr)


class Started:
    """A program that runs; `wait_for` reads its output up to a text. It is killed when it goes on for more than `limit` seconds."""

    def __init__(
        self, program: Program, *arguments: str, environment: Mapping[str, str] | None = None, limit: float = LIMIT
    ) -> None:
        self.process = program.start(*arguments, environment=environment)
        self._watchdog = threading.Timer(limit, self.process.kill)
        self._watchdog.start()
        self._seen = ""

    def wait_for(self, text: str) -> str:
        """Return the next line of its output that holds a text. Raises AssertionError when it ends without one."""
        for line in self.process.stdout or ():
            self._seen += line
            if text in line:
                return line
        raise AssertionError(f"{text!r} never came: {self.end().text}")

    def kill(self) -> Output:
        """Kill the program (-9) and return what it printed."""
        self.process.kill()
        return self.end()

    def end(self) -> Output:
        """Wait for the end of the program."""
        self._watchdog.cancel()
        output = finish(self.process)
        return Output(output.code, self._seen + output.stdout, output.stderr)


def remains(program: Program) -> list[str]:
    """Return what is left of the runs of a data directory, of which none goes on: in the engine and on the disk."""
    runs = [run["id"] for run in program.call("runs", "--all", "--limit", "1000", "--json").json()]
    if not runs:
        raise AssertionError("there was no run")
    places = [path for name in ("work", "spool", "owners") for path in (program.home / name).glob("*")]
    places += [path for path in (program.home / "runs").iterdir() if path.name not in runs]
    return leftovers(runs) + [str(path) for path in places if path.name != ".trash"]


def make_repository(source: Path, target: Path, *, message: str, tag: str | None = None) -> Path:
    """Copy a directory, without its expectation, and make it a git repository with one commit and perhaps a tag."""
    shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("expect.json", "__pycache__"))
    git(target, "init", "--quiet", "--initial-branch=main")
    git(target, "add", "--all", "--force")
    git(target, "commit", "--quiet", "--allow-empty", "--message", message)
    if tag:
        git(target, "tag", "--annotate", "--message", tag, tag)
    return target


def git(directory: Path, *arguments: str) -> str:
    """Run git in a directory, as nobody in particular and without the settings of this machine. Raises AssertionError."""
    environment = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "Test", f"GIT_{role}_EMAIL": "test@localhost"}
    done = subprocess.run(
        ["git", *arguments],
        cwd=directory,
        env=os.environ | environment,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise AssertionError(f"git {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def release(run: str, step: str) -> None:
    """Let the only container of a step go on, which waits for /tmp/go."""
    labels = [f"--filter=label=flow.run={run}", f"--filter=label=flow.step={step}"]
    listed = subprocess.run(
        ["docker", "ps", "--quiet", *labels], check=True, capture_output=True, text=True, timeout=LIMIT
    )
    (container,) = listed.stdout.split()
    subprocess.run(["docker", "exec", container, "touch", "/tmp/go"], check=True, timeout=LIMIT)  # noqa: S108 (in the container)


def leftovers(runs: Sequence[str]) -> list[str]:
    """Return what the engine still holds of the runs with these ids: "container abc", "network def"."""
    found = []
    for kind, command in KINDS.items():
        name = "{{.Name}}" if kind == "volume" else "{{.ID}}"
        listed = subprocess.run(
            ["docker", *command, "--filter", "label=flow.run", "--format", name + ' {{.Label "flow.run"}}'],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()
        found += [
            f"{kind} {name} of run {run}" for name, _, run in (line.partition(" ") for line in listed) if run in runs
        ]
    return found
