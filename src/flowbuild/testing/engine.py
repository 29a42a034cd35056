"""An engine without containers, complete and scriptable: the same contract, any speed.

A service says in its environment what its container shall do (see `Script`); the real engine does the same with the
command that `flowbuild.testing.engine_suite.service` adds. `Machine` is what survives a crash of the program: give it
to a second DummyEngine to adopt what the first one started. With `sleep` and `now_ns` of a simulated clock a run of
hours takes milliseconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Self

from flowbuild.core.errors import EngineError
from flowbuild.engine.base import (
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
from flowbuild.engine.plan import make_plan
from flowbuild.engine.startup import healthy, next_services
from flowbuild.engine.verdict import ContainerState, judge

Sleep = Callable[[float], Awaitable[None]]
SIGTERM_CODE = 143
SIGKILL_CODE = 137
MANY_RETRIES = 100  # from here on a failing healthcheck stays "starting"


@dataclass(frozen=True, slots=True)
class Script:
    """What a container does, from `FLOW_TEST_*` of its service, in this order: LOG, ERR, WRITE, SLEEP, then its end.

    EXIT: exit code. OOM: killed for memory. LOST: the container disappears. STUBBORN: ignores SIGTERM.
    UNHEALTHY: its healthcheck, if it has one, fails (with 100 retries and more it stays "starting"). ERROR: the engine cannot start it, for this reason.
    WRITE: "path=text" for a file below /workspace, or in another mount, "path=text*TIMES" for a large one.
    """

    log: bytes = b""
    err: bytes = b""
    write: str = ""
    sleep: float = 0.0
    exit: int = 0
    oom: bool = False
    lost: bool = False
    stubborn: bool = False
    unhealthy: bool = False
    error: str = ""

    @classmethod
    def read(cls, service: Mapping[str, Any]) -> Script:
        """Read the script of a service of a compose file."""
        environment = service.get("environment") or {}
        if not isinstance(environment, Mapping):
            environment = dict(str(entry).split("=", 1) for entry in environment)
        value = {key: str(environment.get(f"FLOW_TEST_{key}", "")) for key in (
            "LOG", "ERR", "WRITE", "SLEEP", "EXIT", "OOM", "LOST", "STUBBORN", "UNHEALTHY", "ERROR",
        )}  # fmt: skip
        return cls(
            value["LOG"].encode(),
            value["ERR"].encode(),
            value["WRITE"],
            float(value["SLEEP"] or 0),
            int(value["EXIT"] or 0),
            bool(value["OOM"]),
            bool(value["LOST"]),
            bool(value["STUBBORN"]),
            bool(value["UNHEALTHY"]),
            value["ERROR"],
        )


@dataclass(slots=True)
class Container:
    """One pretended container. `state` is None once it is lost."""

    definition: Mapping[str, Any]
    script: Script
    state: ContainerState | None
    log: list[LogRecord] = field(default_factory=list)
    life: asyncio.Task[None] | None = None


class Machine:
    """What the engine holds: units, networks, images; shared by all DummyEngines that get it. `reachable` may be cut."""

    def __init__(self, *, missing_images: frozenset[str] = frozenset()) -> None:
        self.units: dict[str, tuple[UnitSpec, dict[str, Container]]] = {}
        self.networks: dict[str, Labels] = {}
        self.missing_images = missing_images
        self.reachable = True
        self._changed = asyncio.Event()

    def touch(self) -> None:
        """Wake all who wait for a change."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def change(self) -> None:
        """Return after the next change."""
        await self._changed.wait()


class DummyEngine:
    """`Engine` without containers; see the text of this module."""

    def __init__(
        self,
        machine: Machine | None = None,
        *,
        sleep: Sleep = asyncio.sleep,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.machine = machine or Machine()
        self._sleep = sleep
        self._now_ns = now_ns

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def info(self) -> EngineInfo:
        """Return a pretended engine."""
        self._reach()
        return EngineInfo("dummy", "0", "0", 2, 1 << 30)

    async def ready(self) -> None:
        """Fail when the machine is unreachable."""
        self._reach()

    async def returned(self, seconds: float) -> bool:
        """Return whether the machine is reachable, after a moment if not."""
        await asyncio.sleep(0 if self.machine.reachable else min(seconds, 0.01))
        return self.machine.reachable

    async def images(self, images: Sequence[str], progress: Progress) -> Mapping[str, str]:
        """Return a made-up id of each image; those in `Machine.missing_images` are unavailable."""
        self._reach()
        for image in images:
            if image in self.machine.missing_images:
                progress(f"pulling {image}")
                raise ImageUnavailable(f"{image}: no such image", hint="check name and tag")
        return {image: f"sha256:{image.encode().hex():0<64.64}" for image in images}

    async def network(self, name: str, labels: Labels) -> None:
        """Remember the network."""
        self._reach()
        if self.machine.networks.setdefault(name, labels) != labels:
            raise EngineError(f'network "{name}" exists in the engine but is not ours')

    async def anchor(self, network: str, labels: Labels) -> None:  # noqa: ARG002 (networks of other machines are not played)
        """Do nothing: networks across machines are there as long as anybody wants."""
        self._reach()

    async def create(self, spec: UnitSpec, progress: Progress) -> Unit:
        """Make containers that do nothing yet."""
        self._reach()
        progress(f"creating {spec.project}")
        keys = make_plan(spec).keys
        definitions = {service: spec.compose["services"][key] for service, key in keys.items()}
        self.machine.units[spec.project] = (
            spec,
            {
                service: Container(definition, Script.read(definition), ContainerState(service, "created", 0))
                for service, definition in definitions.items()
            },
        )
        return self._unit(spec)

    async def adopt(self, spec: UnitSpec) -> Unit | None:
        """Find the unit on the machine."""
        self._reach()
        known = self.machine.units.get(spec.project)
        if known is None or known[0].labels != spec.labels:
            return None
        started = all(state is None or state.status != "created" for state in self._states(spec.project).values())
        return replace(self._unit(spec), started=started)

    async def start(self, unit: Unit) -> Verdict | None:
        """Start services with the rules of the real engine."""
        project, plan = unit.spec.project, make_plan(unit.spec)
        while True:
            self._reach()
            states = self._states(project)
            services = next_services(plan, states, 0)
            if isinstance(services, Verdict):
                return services
            if not services:
                if not any(state is not None and state.status == "created" for state in states.values()):
                    return None
                await self.machine.change()
            for service in services:
                self._start(project, service)

    async def wait(self, unit: Unit) -> Verdict:
        """Wait for the main services."""
        while True:
            states = self._states(unit.spec.project)
            main = [states.get(service) for service in unit.spec.main]
            if all(state is None or state.ended for state in main):
                return judge(states, unit.spec.main, 0)
            await self.machine.change()

    async def wait_healthy(self, unit: Unit) -> Verdict | None:
        """Wait until all services run and are healthy."""
        while True:
            verdict, ready = healthy(self._states(unit.spec.project), unit.spec.main, 0)
            if verdict is not None or ready:
                return verdict
            await self.machine.change()

    async def logs(self, unit: Unit, since_ns: Mapping[str, int]) -> AsyncIterator[LogRecord]:
        """Yield what the scripts wrote."""
        containers = self._containers(unit.spec.project)
        at = dict.fromkeys(containers, 0)
        while True:
            for service, container in containers.items():
                for record in container.log[at[service] :]:
                    at[service] += 1
                    if record.time_ns > since_ns.get(service, 0):
                        yield record
            if any(at[service] < len(container.log) for service, container in containers.items()):
                continue  # written while the reader was busy
            if all(state is None or state.ended for state in self._states(unit.spec.project).values()):
                return
            await self.machine.change()

    async def stop(self, unit: Unit, *, grace: float, force: bool = False) -> None:
        """End all containers; stubborn ones after the grace time."""
        stubborn = []
        for container in self._containers(unit.spec.project).values():
            if container.state is not None and container.state.status == "running" and container.script.stubborn:
                stubborn.append(container)
            else:
                self._end(container, SIGKILL_CODE if force else SIGTERM_CODE)
        if stubborn and not force:
            await self._sleep(grace)
        for container in stubborn:
            self._end(container, SIGKILL_CODE)

    async def remove(self, unit: Unit) -> None:
        """Forget the unit."""
        self._forget(unit.spec.project)

    async def found(self, instance: str) -> Sequence[Found]:
        """List the units of the instance."""
        self._reach()

        def runs(project: str) -> bool:
            return any(state and state.status == "running" for state in self._states(project).values())

        found = ((project, spec.labels) for project, (spec, _) in self.machine.units.items())
        return [Found(labels, project, runs(project)) for project, labels in found if labels.instance == instance]

    async def sweep(self, instance: str, *, run: str | None = None, keep: frozenset[str] = frozenset()) -> Swept:
        """Forget units and networks."""
        self._reach()

        def ours(labels: Labels) -> bool:
            return labels.instance == instance and run in (None, labels.run) and labels.run not in keep

        units = {project: spec.labels for project, (spec, _) in self.machine.units.items() if ours(spec.labels)}
        kept = {labels.run for project, labels in units.items() if project in keep}
        gone = [project for project in units if project not in keep]
        containers = tuple(self._id(project, service) for project in gone for service in self._containers(project))
        for project in gone:
            self._forget(project)
        networks = [name for name, labels in self.machine.networks.items() if ours(labels) and labels.run not in kept]
        for name in networks:
            del self.machine.networks[name]
        self.machine.touch()
        return Swept(containers, tuple(networks))

    async def run_here(self, program: HostProgram) -> bytes:
        """Run the program with the rights of this one."""
        process = await asyncio.create_subprocess_exec(
            *program.argv, env=dict(program.environment), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        output, said = await process.communicate()
        if process.returncode:
            raise EngineError(said.decode().strip())
        return output

    async def close(self) -> None:
        """Do nothing: what runs on the machine goes on."""

    def _reach(self) -> None:
        if not self.machine.reachable:
            raise EngineUnreachable("the dummy engine is cut off", hint="set Machine.reachable")

    def _containers(self, project: str) -> dict[str, Container]:
        return self.machine.units[project][1] if project in self.machine.units else {}

    def _states(self, project: str) -> dict[str, ContainerState | None]:
        return {service: container.state for service, container in self._containers(project).items()}

    def _id(self, project: str, service: str) -> str:
        return f"{project}-{service}-1"

    def _unit(self, spec: UnitSpec) -> Unit:
        containers = self._containers(spec.project)
        return Unit(
            spec,
            {service: self._id(spec.project, service) for service in containers},
            {service: f"sha256:{container.definition.get('image', '')}" for service, container in containers.items()},
        )

    def _start(self, project: str, service: str) -> None:
        container = self._containers(project)[service]
        if container.state is None:
            return
        if container.script.error:
            container.state = replace(container.state, error=container.script.error, exit_code=127)
            return
        health = "starting" if container.definition.get("healthcheck") else ""
        container.state = replace(container.state, status="running", started_ns=self._now_ns(), health=health)
        container.life = asyncio.get_running_loop().create_task(self._live(container), name=f"{project}-{service}")
        self.machine.touch()

    async def _live(self, container: Container) -> None:
        script, state = container.script, container.state
        assert state is not None  # noqa: S101  it runs
        for stream, data in (("stdout", script.log), ("stderr", script.err)):
            if data:
                last = container.log[-1].time_ns if container.log else 0
                container.log.append(LogRecord(state.service, stream, max(self._now_ns(), last + 1), data))
        if script.write:
            _write(container.definition, script.write)
        if state.health and (not script.unhealthy or _retries(container.definition) < MANY_RETRIES):
            container.state = replace(state, health="unhealthy" if script.unhealthy else "healthy")
        self.machine.touch()
        await self._sleep(script.sleep)
        if script.lost:
            container.state = None
            self.machine.touch()
        else:
            self._end(container, SIGKILL_CODE if script.oom else script.exit, oom=script.oom)

    def _end(self, container: Container, code: int, *, oom: bool = False) -> None:
        state = container.state
        if state is not None and not state.ended:
            if container.life is not None and container.life is not asyncio.current_task():
                container.life.cancel()
            code = 0 if state.status == "created" else code
            container.state = replace(
                state, status="exited", exit_code=code, oom_killed=oom, finished_ns=self._now_ns()
            )
        self.machine.touch()

    def _forget(self, project: str) -> None:
        for container in self._containers(project).values():
            self._end(container, SIGKILL_CODE)
        self.machine.units.pop(project, None)
        self.machine.touch()


class HeldEngine(DummyEngine):
    """An engine that tells of no end before `release` is set: what a test does until then happens while units run."""

    def __init__(self, machine: Machine | None = None) -> None:
        super().__init__(machine, sleep=lambda seconds: asyncio.sleep(seconds / 100))
        self.release = asyncio.Event()

    async def wait(self, unit: Unit) -> Verdict:
        """Wait for the main services, and for `release`."""
        await self.release.wait()
        return await super().wait(unit)


def _retries(definition: Mapping[str, Any]) -> int:
    """Return how many failures of its healthcheck a service may have."""
    return int(definition["healthcheck"].get("retries", 3))


def _write(definition: Mapping[str, Any], write: str) -> None:
    """Write a file into what is mounted at /workspace; by an absolute path, into what is mounted there."""
    name, _, text = write.partition("=")
    once, _, times = text.rpartition("*")
    text = once * int(times) if once and times.isdigit() else text
    wanted = PurePosixPath("/workspace", name)
    for mount in definition.get("volumes") or ():
        if isinstance(mount, Mapping) and wanted.is_relative_to(mount.get("target", "")):
            path = Path(mount["source"]) / wanted.relative_to(mount["target"])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
