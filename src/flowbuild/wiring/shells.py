"""Debug shells on this machine: of runs that are here, and of those of a server elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from time import time

from flowbuild.client.base import DebugRequest
from flowbuild.client.runner import Assignment
from flowbuild.client.wire import DebugKit
from flowbuild.core.ids import RunId
from flowbuild.core.redact import check_secrets
from flowbuild.runner.debug import Scene, open_shell
from flowbuild.runner.patience import Patience
from flowbuild.runner.repositories import FarRepositories
from flowbuild.runner.servers import Servers
from flowbuild.runner.tools import NearRepositories, Repositories, RunnerPlaces
from flowbuild.services.debugging import Place
from flowbuild.services.ids import new_run_id
from flowbuild.settings import read_settings
from flowbuild.wiring.driving import engine_of
from flowbuild.wiring.local import Local
from flowbuild.workspace.slots import Slots


async def debug(local: Local, request: DebugRequest) -> int:
    """Open a shell in the input or output of a step of a run; see runner.debug."""
    run = await asyncio.to_thread(local.looking.find, local.project, request.run)
    place = Place(run, request.step, request.attempt, request.output)
    found = await asyncio.to_thread(local.debugging.scene, place, request.secrets)
    with _shell(local) as shell:
        scene = _scene(found.assignment, shell, request, images=found.images)
        return await _open(local, scene, NearRepositories(Patience(0.0)))


async def debug_elsewhere(found: DebugKit, url: str, token: str, request: DebugRequest) -> int:
    """Open a shell as `debug`, with what the server at `url` gave for it; what it needs more is fetched with the token."""
    secrets = {name: request.secrets[name] for name in found.missing if name in request.secrets}
    check_secrets(secrets)
    assignment = replace(found.assignment, secrets=secrets, token=token)
    local = Local(read_settings(), None)
    try:
        await asyncio.to_thread(local.open, drive=False)
        with _shell(local) as shell:
            top = local.settings.home / "work" / shell / "far"  # goes with the shell
            repositories = FarRepositories(Servers([url]), top / "runs", top / "lfs", patience=0.0)
            try:
                return await _open(local, _scene(assignment, shell, request, images=found.images), repositories)
            finally:
                await repositories.close()
    finally:
        local.close()


@contextmanager
def _shell(local: Local) -> Iterator[RunId]:
    """Give an id that no run has; while the context is open other programs leave alone what goes by it."""
    shell = new_run_id(time())
    local.shells.claim(shell)
    try:
        yield shell
    finally:
        local.shells.release()


def _scene(assignment: Assignment, shell: RunId, request: DebugRequest, *, images: Mapping[str, str]) -> Scene:
    lease = replace(assignment.lease, run=shell)
    return Scene(replace(assignment, lease=lease), images, request.service, request.command)


async def _open(local: Local, scene: Scene, repositories: Repositories) -> int:
    work = local.settings.home / "work"
    async with engine_of(local) as engine:
        await engine.ready()
        return await open_shell(
            scene,
            engine=engine,
            slots=Slots(work),
            places=RunnerPlaces(work, await asyncio.to_thread(local.instance)),
            repositories=repositories,
            host=local.settings.docker_host,
        )
