"""A shell in the exact input of a step, or in what it left: a unit of its own, of which nothing is kept."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from flowbuild.client.runner import Assignment
from flowbuild.core.errors import InvalidRequest
from flowbuild.core.ids import CommitId
from flowbuild.engine.base import Engine, UnitSpec
from flowbuild.runner.plan import Plan, make_plan
from flowbuild.runner.tools import RunnerPlaces
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.slots import Slots

SHELL = ("sh", "-c", "command -v bash >/dev/null && exec bash || exec sh")


async def open_shell(
    assignment: Assignment,
    *,
    engine: Engine,
    slots: Slots,
    places: RunnerPlaces,
    service: str,
    command: Sequence[str],
    host: str,
) -> int:
    """Run a command (default: a shell) on this terminal in a service of the step; return its exit code.

    `assignment.lease.run` must be an id that no run has: everything under it is removed afterwards. Services that the
    chosen one depends on are not started. `host` is the address of the engine, as in DOCKER_HOST.
    """
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if not terminal and not command:
        raise InvalidRequest("there is no terminal for a shell", hint="give a command: flow debug RUN STEP -- ls -la")
    plan = _alone(make_plan(assignment, places), service, command or SHELL)
    repository = RunRepository.open(Path(assignment.repository))
    run = assignment.lease.run
    try:
        commit = CommitId(assignment.input_commit)
        trusted = assignment.trusted
        await asyncio.to_thread(slots.acquire, repository, run, commit, plan.directory, trusted=trusted)
        await engine.network(plan.network, plan.run_labels)
        plan = replace(plan, digests=await engine.images(plan.images, _tell))
        spec = await asyncio.to_thread(plan.spec)
        unit = await engine.create(_interactive(spec) if terminal else spec, _tell)
        return await _attach(unit.containers[plan.main[0]], host, terminal=terminal)
    finally:
        await engine.sweep(places.instance, run=run)
        await asyncio.to_thread(slots.drop_run, run)


def _alone(plan: Plan, service: str, command: Sequence[str]) -> Plan:
    """Keep one service of the plan, with another command and nothing that would wait for or watch it."""
    services = plan.model["services"]
    name = service or plan.main[0]
    if name not in services:
        raise InvalidRequest(f"the step has no service {name!r}", hint=f"it has {', '.join(services)}")
    dropped = ("depends_on", "healthcheck", "entrypoint", "ports", "network_mode")
    kept = {key: value for key, value in services[name].items() if key not in dropped}
    first, *rest = [word.replace("$", "$$") for word in command]
    model = {**plan.model, "services": {name: {**kept, "entrypoint": [first], "command": rest}}}
    return replace(plan, model=model, main=(name,))


def _interactive(spec: UnitSpec) -> UnitSpec:
    services = {key: {**service, "stdin_open": True, "tty": True} for key, service in spec.compose["services"].items()}
    compose: dict[str, Any] = {**spec.compose, "services": services}
    return replace(spec, compose=compose)


async def _attach(container: str, host: str, *, terminal: bool) -> int:
    """Start a container with this terminal as its own: the docker client knows how to hand a terminal over.

    Input that is no terminal is not handed over: at its end the engine would cut the output, too.
    """
    options = ["--attach", *(["--interactive"] if terminal else [])]
    environment = {**os.environ, "DOCKER_HOST": host}  # the client would follow a docker context otherwise
    process = await asyncio.create_subprocess_exec("docker", "start", *options, container, env=environment)
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
