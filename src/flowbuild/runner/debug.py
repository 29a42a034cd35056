"""A shell in the exact input of a step, or in what it left: a unit of its own, of which nothing is kept."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flowbuild.client.runner import Assignment
from flowbuild.core.errors import InvalidRequest
from flowbuild.core.ids import CommitId
from flowbuild.engine.base import Engine, ImageUnavailable, UnitSpec
from flowbuild.runner.plan import Plan, make_plan
from flowbuild.runner.tools import Repositories, RunnerPlaces
from flowbuild.spec import compose
from flowbuild.workspace.slots import Slots

SHELL = ("sh", "-c", "command -v bash >/dev/null && exec bash || exec sh")


@dataclass(frozen=True, slots=True)
class Scene:
    """What a shell is opened in: an assignment that belongs to no attempt, on the commit that is to be seen.

    `assignment.lease.run` must be an id that no run has: everything under it is removed afterwards. `images` are the ids
    of those that the attempt had, by service. In `service` (default: the main one) `command` is run (default: a
    shell); services that it depends on are not started.
    """

    assignment: Assignment
    images: Mapping[str, str] = field(default_factory=dict)
    service: str = ""
    command: Sequence[str] = ()


async def open_shell(
    scene: Scene, *, engine: Engine, slots: Slots, places: RunnerPlaces, repositories: Repositories, host: str
) -> int:
    """Run a command on this terminal in a service of the step; return its exit code.

    `host` is the address of the engine, as in DOCKER_HOST. Raises InvalidRequest, WorkspaceError, EngineError.
    """
    assignment, run = scene.assignment, scene.assignment.lease.run
    try:
        terminal = sys.stdin.isatty() and sys.stdout.isatty()
        if not terminal and not scene.command:
            raise InvalidRequest(
                "there is no terminal for a shell", hint="give a command: flow debug RUN STEP -- ls -la"
            )
        plan = _alone(make_plan(assignment, places), scene.service, scene.command or SHELL)
        _tell_missing(assignment)
        repository = await repositories.fetch(assignment)
        plan = plan.borrowing(await repositories.history(assignment))
        commit, trusted = CommitId(assignment.input_commit), assignment.trusted
        await asyncio.to_thread(slots.acquire, repository, run, commit, plan.directory, trusted=trusted)
        await engine.network(plan.network, plan.run_labels)
        plan = replace(plan, digests=await _images(engine, plan, scene.images))
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
    return replace(plan, model=model, main=(name,), images=compose.images(model, plan.assignment.variables))


def _tell_missing(assignment: Assignment) -> None:
    missing = [name for name in assignment.step.secrets if name not in assignment.secrets]
    if missing:
        words = " ".join(f"--secret {name}" for name in missing)
        _tell(f"without the secret(s) {', '.join(missing)}; to give them, from the environment: {words}")


async def _images(engine: Engine, plan: Plan, had: Mapping[str, str]) -> Mapping[str, str]:
    """Make the images of the only service present, and return the id or digest of each by reference.

    Of an image that is not built here it is the one that the attempt had, if it is here or its name still brings it. Else it
    is what the name means on this machine, and that is said.
    """
    [(name, service)] = plan.model["services"].items()
    wanted = "" if "build" in service else had.get(name, "")
    if wanted and (exact := await _exact(engine, wanted)):
        return dict.fromkeys(plan.images, exact)
    try:
        found = await engine.images(plan.images, _tell)
    except ImageUnavailable as error:
        if not wanted:
            raise
        raise ImageUnavailable(
            f"this machine does not have the image of the attempt ({wanted}): {error.message}",
            hint="where the attempt ran it is there: push it to a registry, or docker save … | docker load",
        ) from error
    if wanted and (exact := await _exact(engine, wanted)):
        return dict.fromkeys(plan.images, exact)
    if wanted:
        _tell(
            f"not the image that the attempt had ({wanted}), but what its name means here: {', '.join(found.values())}"
        )
    return found


async def _exact(engine: Engine, image: str) -> str:
    """Return an image by its id; "" when it is not here: no registry has one by that."""
    try:
        return (await engine.images([image], _tell))[image]
    except ImageUnavailable:
        return ""


def _interactive(spec: UnitSpec) -> UnitSpec:
    services = {key: {**service, "stdin_open": True, "tty": True} for key, service in spec.compose["services"].items()}
    definition: dict[str, Any] = {**spec.compose, "services": services}
    return replace(spec, compose=definition)


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
