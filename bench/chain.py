"""Pipelines of trivial one-service steps: `flow run` against bare docker compose, alternating, in one run.

Both start the same image with the same command. `flow run` is measured from the start of the program to its exit, so
the start of Python, the sweep, the commits of every step and the whole clean-up are in its time; compose makes no
commits and has no state to lose.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.figures import Figures

from flowbuild.testing.images import ensure_busybox

SECONDS = 300
PREFIX = f"flow-bench-{os.getpid()}"


class Ground:
    """A directory to work in: pipelines, compose files, flow's home and its byte code."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.image = ensure_busybox()
        # An installed program has its byte code; a checkout run with PYTHONDONTWRITEBYTECODE has not.
        self._env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        self._env |= {"FLOW_HOME": str(top / "home"), "PYTHONPYCACHEPREFIX": str(top / "bytecode")}

    def project(self, name: str, pipelines: Mapping[str, object]) -> Path:
        """Make a git repository with a pipeline file (JSON is YAML)."""
        path = self.top / name
        path.mkdir()
        (path / ".flow.yml").write_text(json.dumps({"pipelines": pipelines}))
        for command in ("init -q", "add -A", "-c user.name=bench -c user.email=bench@localhost commit -qm bench"):
            run(["git", "-C", str(path), *command.split()])
        return path

    def flow(self, *arguments: str, **variables: str) -> str:
        """Run flow; return what it printed."""
        return run([sys.executable, "-m", "flowbuild", *arguments], env=self._env | variables)

    def service(self) -> dict[str, object]:
        return {"image": self.image, "command": ["true"]}

    def compose(self, name: str, count: int = 1) -> list[str]:
        """Write a compose file with that many services; return the command line up to the verb."""
        path = self.top / f"{name}.yml"
        path.write_text(json.dumps({"services": {f"s{number:02d}": self.service() for number in range(count)}}))
        return ["docker", "compose", "-p", f"{PREFIX}-{name}", "-f", str(path)]


def chain(ground: Ground, *, length: int, rounds: int) -> Figures:
    """(a): a chain of steps against `up` + `down` of each."""
    steps: dict[str, dict[str, object]] = {}
    for number in range(length):
        key = f"s{number:02d}"
        steps[key] = {"compose": {"services": {key: ground.service()}}}
        if number:
            steps[f"s{number - 1:02d}"]["success"] = [key]
    project = ground.project("chain", {"chain": {"steps": steps}})
    commands = [ground.compose(f"c{number:02d}") for number in range(length)]
    figures = Figures("chain", f"{length} one-service steps, one after another")

    def bare() -> None:
        for command in commands:
            run([*command, "up"])
            down(command)

    alternate(figures, rounds, {"compose up + down": bare, "flow run": lambda: flow_run(ground, project, figures)})
    figures.ratio("flow run", "compose up + down", aim=1.0)
    figures.ratio("inside the run", "compose up + down")
    for number in range(rounds):
        figures.add("engine start", engine_start(ground, number))
    gap, start = figures.median("end to start"), figures.median("engine start")
    figures.aim("hand-off", gap - start, aim=0.1)
    return figures


def parallel(ground: Ground, *, width: int, rounds: int) -> Figures:
    """(c): independent steps against one compose file with as many services."""
    steps = {f"s{number:02d}": {"compose": {"services": {"s": ground.service()}}} for number in range(width)}
    project = ground.project("parallel", {"parallel": {"steps": steps}})
    command = ground.compose("all", width)
    figures = Figures("parallel", f"{width} one-service steps at once")
    work = {
        "compose up": lambda: run([*command, "up"]),
        "compose down": lambda: down(command),
        "flow run": lambda: flow_run(ground, project, figures),
        "flow run, no limit": lambda: ground.flow("run", "-C", str(project), "--plain", FLOW_CAPACITY=str(width)),
    }
    alternate(figures, rounds, work)
    figures.ratio("flow run", "compose up", aim=1.2)
    figures.ratio("flow run", "compose up", "compose down")
    figures.ratio("flow run, no limit", "compose up", "compose down")
    return figures


def down(command: list[str]) -> None:
    """Remove what `up` made. Engine 20.10 under load sometimes says for ever that an empty network has endpoints."""
    try:
        run([*command, "down"])
    except RuntimeError as error:
        if "active endpoints" not in str(error):
            raise
        print(f"left behind by the engine: the network of {command[3]}", file=sys.stderr)


def alternate(figures: Figures, rounds: int, work: Mapping[str, Callable[[], object]]) -> None:
    """Do all of the work once unmeasured, then `rounds` times in turn."""
    for do in work.values():
        do()
    figures.clear()
    for _ in range(rounds):
        for name, do in work.items():
            began = time.perf_counter()
            do()
            figures.add(name, time.perf_counter() - began)


def flow_run(ground: Ground, project: Path, figures: Figures) -> None:
    """Run the pipeline; keep how long the run itself took and the time between containers that follow each other."""
    with events() as seen:
        ground.flow("run", "-C", str(project), "--plain")
    newest = json.loads(ground.flow("show", "last", "-C", str(project), "--json"))
    figures.add("inside the run", newest["finished_at"] - newest["created_at"])
    ours = [event for event in seen if event["Actor"]["Attributes"]["flow.run"] == newest["id"]]  # others may run, too
    times = sorted((int(event["timeNano"]), event["Action"]) for event in ours)
    ends = [at for at, action in times if action == "die"]
    starts = [at for at, action in times if action == "start"]
    gaps = [(start - end) / 1e9 for end, start in zip(ends, starts[1:], strict=False)]
    if gaps and min(gaps) > 0:  # only steps that follow each other have a hand-off
        figures.add("end to start", statistics.median(gaps))


def engine_start(ground: Ground, number: int) -> float:
    """Return what the engine alone needs between being asked to start a container like a step's and its start event.

    The container exists, has a network, two mounts and a label as a step's has.
    """
    network = container = f"{PREFIX}-{number}"
    run(["docker", "network", "create", network])
    mounts = ["-v", f"{ground.top}:/workspace", "-v", f"{ground.top}:/variables"]
    create = ["--name", container, "--label", "flow.run=bench", "--init", "--network", network, *mounts]
    run(["docker", "create", *create, ground.image, "true"])
    try:
        with events() as seen:
            began = time.time_ns()
            socket_post(f"/containers/{container}/start")
            run(["docker", "wait", container])
        started = min(int(event["timeNano"]) for event in seen if event["Action"] == "start")
        return (started - began) / 1e9
    finally:
        run(["docker", "rm", "-f", container])
        run(["docker", "network", "rm", network])


def socket_post(path: str) -> None:
    """Ask the engine over its socket: the docker CLI would add the start of a process."""
    run(["curl", "-sf", "--unix-socket", "/var/run/docker.sock", "-X", "POST", f"http://localhost{path}"])


@contextmanager
def events() -> Iterator[list[dict[str, Any]]]:
    """Collect the start and die events of containers of runs; complete when the context is left."""
    seen: list[dict[str, Any]] = []
    since = f"{time.time():.9f}"
    yield seen
    filters = ["label=flow.run", "type=container", "event=start", "event=die"]
    arguments = [argument for entry in filters for argument in ("--filter", entry)]
    until = f"{time.time():.9f}"
    out = run(["docker", "events", "--since", since, "--until", until, "--format", "{{json .}}", *arguments])
    seen += [json.loads(line) for line in out.splitlines()]


def run(command: list[str], env: Mapping[str, str] | None = None) -> str:
    """Run a command; raises RuntimeError with its output when it fails."""
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout
