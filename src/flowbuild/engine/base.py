"""The seam to what runs containers on one machine: one compose project per attempt of a step.

Life of a unit, in this order; every coroutine may be cancelled, `remove` must always follow in the end:
`create` → `start` → `wait` (or `wait_healthy` for background steps, `wait` later) → `stop` → `remove`.
`logs` may be consumed from `start` on, together with `wait`. `adopt` finds a unit again after a restart of the program
and takes the place of `create` (and of `start` when it was started). Calls for different units may overlap; calls for
one unit may not, except `logs` and `stop`, which may overlap with `wait`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from flowbuild.core.errors import EngineError, StepFailed
from flowbuild.core.states import Outcome, Reason

SERVICE_LABEL = "flow.service"  # on every container of a unit: the service's name in the user's compose file


class ImageUnavailable(EngineError):
    """An image is neither on this machine nor can it be pulled; `errored`, not the step's fault."""

    code = "image_unavailable"


class EngineUnreachable(EngineError):
    """The engine does not answer: not started, no permission, gone. Containers may be running or not."""

    code = "engine_unreachable"


class BuildFailed(StepFailed):
    """An image of the step could not be built because of what its build says; `failed`, the step's fault."""

    code = "build_failed"


@dataclass(frozen=True, slots=True)
class Labels:
    """Who owns an object in the engine; written as `flow.run`, `flow.step`, `flow.attempt`, `flow.epoch`, `flow.instance`."""

    instance: str
    run: str
    step: str = ""  # empty on the network of a run
    attempt: int = 0
    epoch: int = 0

    def as_dict(self) -> dict[str, str]:
        """Return the labels as the engine stores them."""
        labels = {"flow.instance": self.instance, "flow.run": self.run}
        if self.step:
            labels |= {"flow.step": self.step, "flow.attempt": str(self.attempt), "flow.epoch": str(self.epoch)}
        return labels


@dataclass(frozen=True, slots=True)
class Attachment:
    """A network that exists already, to be joined with exactly these aliases between `create` and `start`."""

    network: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UnitSpec:
    """What `create` makes. `compose` is our own emitted file (see `spec.compose.emit`), complete and trusted.

    Its values are literal: the engine doubles every `$` when it hands the file to compose, so that nothing is
    interpolated. The engine adds the labels of `labels` to all that the file makes, and a log driver that keeps bytes
    as they are to services that name none.
    `main` are the services whose end decides. Networks named as external in `compose` exist already.
    Services are keyed `<service>.<step>` in `compose` (also in `depends_on` and in compose's own label): compose makes
    the key an alias on every network, and on the run's network the plain name would be the one of any parallel step.
    The label `flow.service` (`SERVICE_LABEL`) carries the plain name, which `main`, `Unit`, `LogRecord` and
    `ServiceEnd` use.
    `attachments`: further networks by service, joined by the engine itself, because compose adds the plain name of the
    service as an alias to every network that it joins.
    """

    project: str
    labels: Labels
    compose: Mapping[str, Any]
    main: tuple[str, ...]
    attachments: Mapping[str, tuple[Attachment, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unit:
    """A created compose project: container id and image digest by service.

    `started` is known after `adopt`: every service was started at some time. When it is False, `start` comes next; it
    starts only what was not started before.
    """

    spec: UnitSpec
    containers: Mapping[str, str]
    images: Mapping[str, str]
    started: bool = False


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A piece of output as the engine delivered it: not split into lines, bytes untouched. Time in ns since the epoch.

    Times of one service are strictly increasing (moved by some ns where the engine's are not), so that the time of the
    last kept record is enough to resume without a gap or a duplicate.
    """

    service: str
    stream: str  # "stdout" or "stderr"
    time_ns: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ServiceEnd:
    """State of one container when the verdict was made."""

    service: str
    status: str  # "exited", "running", "created", "dead"
    exit_code: int | None
    oom_killed: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a unit ended, computed from the state of every container, never from compose's own exit code."""

    outcome: Outcome
    reason: Reason | None = None
    message: str = ""
    exit_code: int | None = None
    services: tuple[ServiceEnd, ...] = ()

    @property
    def over(self) -> bool:
        """Whether every service is known to have ended: nothing is left to stop."""
        return bool(self.services) and all(service.status in ("exited", "dead") for service in self.services)


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What is on this machine; shown by `flow doctor`, and what placement goes by.

    `os` and `arch` as the engine calls them. `node` and `role` ("manager" or "worker") are there on a machine of a Swarm.
    `labels` are those of the engine, `generic` the amounts of its generic resources, such as GPUs, by kind.
    """

    name: str
    engine_version: str
    compose_version: str
    cpus: int
    memory_bytes: int
    warnings: tuple[str, ...] = ()
    os: str = ""
    arch: str = ""
    node: str = ""
    role: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    generic: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """A compose project of ours that exists in the engine."""

    labels: Labels
    project: str
    running: bool


Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class HostProgram:
    """A program of the engine's machine that is to run there as root with no rights but `capabilities`.

    It sees the files that programs need and those of `readable` and `writable`, at their own places, and nothing else.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    capabilities: tuple[str, ...]
    readable: tuple[str, ...]
    writable: tuple[str, ...]
    labels: Labels


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep removed."""

    containers: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    images: tuple[str, ...] = field(default=())


class Engine(Protocol):
    """Runs units. Raises EngineError when the engine does not do its part; a failing step is a Verdict, not an error."""

    async def info(self) -> EngineInfo:
        """Return what this engine is; raises EngineError with advice when it cannot be reached."""
        ...

    async def ready(self) -> None:
        """Raise EngineError with advice when the engine cannot be worked with; quicker than `info`."""
        ...

    async def returned(self, seconds: float) -> bool:
        """Wait until the engine answers, if it does not now; False when it did not within so many seconds."""
        ...

    async def images(self, images: Sequence[str], progress: Progress) -> Mapping[str, str]:
        """Make images present, pulling only what is missing; return the id or digest by reference. Idempotent.

        Raises ImageUnavailable naming the reference and why.
        """
        ...

    async def network(self, name: str, labels: Labels) -> None:
        """Make the network of a run exist, with an explicit small subnet. Idempotent, may race with itself."""
        ...

    async def anchor(self, network: str, labels: Labels) -> None:
        """Keep a network across machines on this one until the run is swept. Idempotent, may race with itself."""
        ...

    async def create(self, spec: UnitSpec, progress: Progress) -> Unit:
        """Build images where asked, create networks of the project and all containers, start none.

        Raises BuildFailed when a build of the step fails, ImageUnavailable when an image is missing.
        """
        ...

    async def adopt(self, spec: UnitSpec) -> Unit | None:
        """Return the unit that an earlier life of this program created with the same labels, or None."""
        ...

    async def start(self, unit: Unit) -> Verdict | None:
        """Start all services in the order of `depends_on`, waiting for its conditions.

        Returns when the last one is started: None, or the verdict when a dependency failed on the way.
        """
        ...

    async def wait(self, unit: Unit) -> Verdict:
        """Return when all main services ended (at once when they already had)."""
        ...

    async def wait_healthy(self, unit: Unit) -> Verdict | None:
        """Return None when every service is running and healthy (no healthcheck: running), a Verdict when one ended."""
        ...

    def logs(self, unit: Unit, since_ns: Mapping[str, int]) -> AsyncIterator[LogRecord]:
        """Yield output of all services until all their containers have ended; before `start` it waits.

        `since_ns`: time of the last record that is already kept, by service; nothing older or equal comes again.
        """
        ...

    async def stop(self, unit: Unit, *, grace: float, force: bool = False) -> None:
        """Stop all containers: SIGTERM (or the service's own stop signal), `grace` seconds, SIGKILL. Idempotent."""
        ...

    async def remove(self, unit: Unit) -> None:
        """Remove containers, private network and volumes of the unit. Idempotent; missing parts are fine."""
        ...

    async def found(self, instance: str) -> Sequence[Found]:
        """List the projects of this instance that exist, running or not."""
        ...

    async def sweep(self, instance: str, *, run: str | None = None, keep: frozenset[str] = frozenset()) -> Swept:
        """Remove everything labelled with the instance (of one run, if given) except projects and runs in `keep`.

        Objects without our labels are never touched.
        """
        ...

    async def run_here(self, program: HostProgram) -> bytes:
        """Run a program of this machine with rights that this user lacks; return its output.

        Raises EngineError with its standard error when it ends badly, or when the engine is not on this machine.
        """
        ...

    async def close(self) -> None:
        """Free connections of this program; what runs in the engine goes on. No call may follow."""
        ...
