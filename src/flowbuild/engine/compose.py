"""The engine of this product: docker compose plans and creates, the Engine API does everything else.

Where there is nothing to plan, the API creates, too (see `container`). Compose merges nothing, interpolates nothing and
reads nothing but the file we hand it. Starting, waiting, output and removal go through the API: it is faster (compose
needs a process each time), and only there the state of every container is known. Nothing is polled: `wait` and the
event stream tell when something happened.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from flowbuild.core.errors import EngineError
from flowbuild.core.states import Outcome, Reason
from flowbuild.engine import doctor, process, startup
from flowbuild.engine.anchor import Anchors
from flowbuild.engine.api import Api, EngineRefused, finished, together
from flowbuild.engine.base import (
    SERVICE_LABEL,
    Attachment,
    BuildFailed,
    EngineInfo,
    EngineUnreachable,
    Found,
    HostProgram,
    ImageUnavailable,
    Labels,
    LogRecord,
    Progress,
    Swept,
    Unit,
    UnitSpec,
    Verdict,
)
from flowbuild.engine.binds import resume
from flowbuild.engine.cleanup import Cleaner
from flowbuild.engine.container import IMAGE_ID_LABEL, Body, container_body, container_name
from flowbuild.engine.follow import follow
from flowbuild.engine.helper import Helper
from flowbuild.engine.images import REMOVED, Images, Problem, classify
from flowbuild.engine.inside import place_on_machine
from flowbuild.engine.networks import Networks, join, leave_none
from flowbuild.engine.observe import inspected
from flowbuild.engine.plan import document, make_plan, network_name, own_networks, unit_labels
from flowbuild.engine.processes import ended_or_missed
from flowbuild.engine.verdict import judge

CREATE_SECONDS = 120.0
CREATE_PATIENCE = 15.0  # a cancelled creation is let finish: half of it could not be found and removed
BUILD_SECONDS = 3600.0
NOT_A_FOLDER = "/dev/null"  # the project directory: there can be no .env in it


class ComposeEngine:
    """`Engine` on one Docker Engine; see `engine.base.Engine` for the contract of each call.

    `host`: address as in DOCKER_HOST. `docker_config`: folder with registry credentials. `network_pool` is cut into
    subnets of `network_prefix` bits. `answer_seconds`: longest wait for the first word of a registry. `patience`: how
    long a lost engine may take to come back.
    """

    def __init__(
        self,
        *,
        host: str = "unix:///var/run/docker.sock",
        docker_config: str | None = None,
        network_pool: str = "10.201.0.0/16",
        network_prefix: int = 26,
        answer_seconds: float = 20.0,
        patience: float = 60.0,
    ) -> None:
        config = docker_config or os.path.expanduser("~/.docker")  # noqa: PTH111  stays as it is for a user without home
        self._env = process.environment(host, config)
        self._compose = process.compose_command(config)
        self._compose_works = False  # until it was asked
        self._looking = asyncio.Lock()
        self._patience = patience
        self._api = Api(host)
        self._images = Images(self._api, self._env, answer_seconds=answer_seconds)
        self._networks = Networks(self._api, network_pool, network_prefix)
        self._cleaner = Cleaner(self._api)
        self._helper = Helper(self._api)
        self._anchors = Anchors(self._api)
        self._begun: dict[str, dict[str, asyncio.Event]] = {}  # by project, by service: started, or never will be

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def info(self) -> EngineInfo:
        """Return what this engine is; raises EngineError with advice when something is missing or too old."""
        return await doctor.examine(self._api, self._compose, self._env)

    async def place_on_machine(self, path: Path) -> Path:
        """See engine.inside."""
        return await place_on_machine(self._api, path)

    async def ready(self) -> None:
        """Look whether the engine answers and is new enough. Compose is looked at when it is needed."""
        await doctor.engine_facts(self._api)

    async def returned(self, seconds: float) -> bool:
        """See Engine."""
        return await self._api.returned(seconds)

    async def images(self, images: Sequence[str], progress: Progress) -> Mapping[str, str]:
        """Make images present; return the repository digest, or the id of an image without one, by reference."""
        return await self._images.present(images, progress)

    async def network(self, name: str, labels: Labels) -> None:
        """Make the bridge network of a run exist."""
        await self._networks.ensure(name, labels.as_dict())

    async def anchor(self, network: str, labels: Labels) -> None:
        """See engine.anchor."""
        await self._anchors.drop(network, labels)

    async def create(self, spec: UnitSpec, progress: Progress) -> Unit:
        """Build, create networks and containers, join attachments; start nothing."""
        body = container_body(spec)
        if body is not None:
            return await self._api_create(spec, body)
        unit = await self._compose_create(spec, progress)
        await together(
            *(
                self._attach(unit.containers[service], attachment)
                for service, attachments in spec.attachments.items()
                for attachment in attachments
            )
        )
        return unit

    async def adopt(self, spec: UnitSpec) -> Unit | None:
        """Find the unit of an earlier life by project and labels."""
        unit = await self._existing(spec)
        if unit is not None:  # we may have died while they were paused, see `binds`
            await together(*(resume(self._api, container) for container in unit.containers.values()))
        return None if unit is None or set(unit.containers) != set(make_plan(spec).keys) else unit

    async def start(self, unit: Unit) -> Verdict | None:
        """Start what was not started yet, in the order of `depends_on`."""
        begun = self._events(unit)
        verdict = await startup.start(
            self._api, unit, make_plan(unit.spec), lambda service: begun[service].set(), self._patience
        )
        for event in begun.values():  # after a verdict nothing more is started
            event.set()
        return verdict

    async def wait(self, unit: Unit) -> Verdict:
        """Wait for the main services; survives a restart of the engine, and says so when that took them down."""
        main = {service: unit.containers[service] for service in unit.spec.main}
        while True:
            try:
                paths = [f"containers/{container}/wait" for container in main.values()]
                ends = together(*(self._api.call("POST", path, facts={404}, seconds=None) for path in paths))
                if (service := await ended_or_missed(self._api, main, ends)) is not None:
                    message = f'service "{service}" ended, but the engine does not know how: its containerd was lost'
                    return Verdict(Outcome.ERRORED, Reason.INFRA_LOST, message)
                states = await inspected(self._api, unit.containers)
                return judge(states, unit.spec.main, await self._api.started_ns())
            except EngineUnreachable as error:
                if not await self._api.returned(self._patience):
                    message = f"the engine was lost and did not come back within {self._patience:g} s: {error.message}"
                    return Verdict(Outcome.ERRORED, Reason.INFRA_LOST, message)

    async def wait_healthy(self, unit: Unit) -> Verdict | None:
        """Wait until every service runs and is healthy."""
        return await startup.wait_healthy(self._api, unit, self._patience)

    def logs(self, unit: Unit, since_ns: Mapping[str, int]) -> AsyncIterator[LogRecord]:
        """Follow the output of all services."""
        events = self._events(unit)

        async def begun(service: str) -> None:
            if not unit.started:
                await events[service].wait()

        return follow(self._api, unit, since_ns, begun, self._patience)

    async def stop(self, unit: Unit, *, grace: float, force: bool = False) -> None:
        """Stop dependents before what they depend on, within `grace` seconds altogether; then, or at once, kill."""
        for event in self._events(unit).values():
            event.set()
        deadline = time.monotonic() + grace
        groups = [list(unit.containers)] if force else make_plan(unit.spec).stop_order()
        for group in groups:
            seconds = max(0, math.ceil(deadline - time.monotonic()))
            await together(*(self._stop_one(unit.containers[service], seconds, force=force) for service in group))

    async def remove(self, unit: Unit) -> None:
        """Remove all that the attempt made, its built images too."""
        await self._cleaner.remove(unit)
        for event in self._begun.pop(unit.spec.project, {}).values():
            event.set()

    async def found(self, instance: str) -> Sequence[Found]:
        """List the projects of this instance."""
        return await self._cleaner.found(instance)

    async def sweep(self, instance: str, *, run: str | None = None, keep: frozenset[str] = frozenset()) -> Swept:
        """Remove what carries the labels, except `keep`."""
        return await self._cleaner.sweep(instance, run, keep)

    async def run_here(self, program: HostProgram) -> bytes:
        """Run a program of this machine in a container."""
        return await self._helper.run(program)

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()

    async def _compose_create(self, spec: UnitSpec, progress: Progress) -> Unit:
        file = document(spec)
        if make_plan(spec).builds:
            await self._build(file, progress)
        await together(
            *(
                self._networks.ensure(network_name(spec, key), unit_labels(spec), internal=internal)
                for key, internal in own_networks(spec).items()
            )
        )
        arguments = ("create", "--no-build", "--pull", "never", "--no-recreate")
        done = await self._run_compose(file, *arguments, seconds=CREATE_SECONDS, patience=CREATE_PATIENCE)
        if done.code:
            raise _creation_error(done.text)
        unit = await self._existing(spec)
        missing = set(make_plan(spec).keys) - set(unit.containers if unit else ())
        if unit is None or missing:
            raise EngineError(f"compose created no container for: {', '.join(sorted(missing))} ({done.text})")
        return unit

    async def _api_create(self, spec: UnitSpec, body: Body) -> Unit:
        """Create the only container of a unit, without compose."""
        [(service, key)] = make_plan(spec).keys.items()
        image = await self._images.identity(body["Image"])
        body["Labels"][IMAGE_ID_LABEL] = image
        name = {"name": container_name(spec, key)}
        asking = self._api.call("POST", "containers/create", params=name, body=body, facts={409})
        try:
            made = await finished(asking, patience=CREATE_PATIENCE)
        except EngineRefused as error:
            raise _creation_error(error.message) from error
        if made is not None:
            return Unit(spec, {service: str(made["Id"])}, {service: image})
        existing = await self.adopt(spec)  # an earlier life got as far as this
        if existing is None:
            raise EngineError(f'container "{name["name"]}" exists in the engine but is not ours')
        return existing

    async def _existing(self, spec: UnitSpec) -> Unit | None:
        found = await self._cleaner.containers(unit_labels(spec))
        if not found:
            return None
        by_service = {
            container["Labels"].get(SERVICE_LABEL) or _compose_name(container): container for container in found
        }
        return Unit(
            spec,
            {service: str(container["Id"]) for service, container in by_service.items()},
            {service: str(container["ImageID"]) for service, container in by_service.items()},
            started=all(container["State"] != "created" for container in found),
        )

    async def _build(self, file: bytes, progress: Progress) -> None:
        done = await self._run_compose(file, "build", progress=progress, seconds=BUILD_SECONDS)
        if done.code == 0:
            return
        await self._api.call("GET", "_ping")  # raises when it is not the build that failed but the engine
        problem = classify(done.text)
        if problem in {Problem.UNREACHABLE, Problem.RATE_LIMITED, Problem.DENIED} and "failed to solve" in done.text:
            raise ImageUnavailable(f"a base image {problem.told} ({done.lines[-1]})", hint=problem.hint)
        raise BuildFailed(
            f"the build failed: {done.lines[-1] if done.lines else 'no message'}"
        )  # `progress` has it all

    async def _run_compose(
        self,
        file: bytes,
        *arguments: str,
        seconds: float,
        progress: Progress = lambda _line: None,
        patience: float = 0.0,
    ) -> process.Done:
        async with self._looking:
            if not self._compose_works:
                await doctor.compose_version(self._compose, self._env)
                self._compose_works = True
        argv = [
            *(*self._compose, "--ansi", "never", "--progress", "plain", "-f", "-"),
            *("--project-directory", NOT_A_FOLDER, "--env-file", "/dev/null", *arguments),
        ]
        return await process.run(argv, env=self._env, stdin=file, on_line=progress, seconds=seconds, patience=patience)

    async def _attach(self, container: str, attachment: Attachment) -> None:
        """Join a network. A container that was made without any must leave "none" first."""
        inspection = await self._api.inspect(container)
        if inspection is not None and inspection["HostConfig"]["NetworkMode"] == "none":
            await leave_none(self._api, container)
        await join(self._api, container, attachment.network, attachment.aliases)

    async def _stop_one(self, container: str, seconds: int, *, force: bool) -> None:
        if force:
            await self._api.call("POST", f"containers/{container}/kill", facts={404, 409})
            return
        await self._api.call(
            "POST",
            f"containers/{container}/stop",
            params={"t": str(seconds)},
            facts={304, 404},
            seconds=seconds + 30.0,
        )

    def _events(self, unit: Unit) -> dict[str, asyncio.Event]:
        return self._begun.setdefault(unit.spec.project, {service: asyncio.Event() for service in unit.containers})


def _compose_name(container: Mapping[str, Any]) -> str:
    return str(container["Labels"]["com.docker.compose.service"])


def _creation_error(text: str) -> EngineError:
    said = text.strip().splitlines()
    last = said[-1].removeprefix("Error response from daemon: ") if said else "no message"
    if classify(last) is Problem.NOT_FOUND and "image" in last.lower():
        return ImageUnavailable(f"image missing at creation: {last}", hint=REMOVED)
    more = f" ({'; '.join(said[:-1])})" if said[:-1] else ""
    return EngineError(f"the containers could not be created: {last}{more}")
