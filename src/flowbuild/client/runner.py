"""The protocol between server and runner. The embedded runner speaks it in process, others over HTTP.

A runner claims an attempt under a lease, says when its containers may run (`launched`), appends logs by offset, renews
its leases with one heartbeat that also brings orders to stop, and finishes. Every call may be repeated; every call
that speaks of a lease, but `phase`, raises core.errors.LeaseLost when it is lost: the runner then stops what it started.

A heartbeat says what the runner knows, and the answer is what it does not know: an order that got lost on its way is
given again, and nobody has to remember what was said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from flowbuild.core.cache import Origin
from flowbuild.core.model import Step
from flowbuild.core.states import Outcome, Reason

LEASE_SECONDS = 60.0  # without a heartbeat; the work of a silent runner goes on, but others may get the attempt
EXCLUSIVE_SECONDS = 900.0  # of a step with an environment: its runner stops it before that is over


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on one attempt; `epoch` fences older holders."""

    run: str
    step: str
    attempt: int
    epoch: int


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A piece of masked output of one service, in the order it happened. Time in ns since the epoch."""

    service: str
    stream: str
    time_ns: int
    data: bytes


Network = Literal["", "overlay"]


@dataclass(frozen=True, slots=True)
class Assignment:
    """All a runner needs for one attempt. `facts` are the values for `${{ … }}`; `environment` is FLOW_* for services.

    `state` is "leased" for new work, "launched" when an earlier life of the runner may have started containers, at the
    earliest `launched_ago` seconds before it was claimed: the clocks of machines go as they like.
    `repository` is a path when the runner is on the machine of the server; elsewhere it is below the server's address,
    and `token` opens it as long as the attempt goes on. The same for `history`, that of the source, which elsewhere is there
    instead of `source_objects`; runs of one source have the same `source`.
    `upcoming` are assignments that will probably follow on the same workspace; worth preparing, not to be worked on.
    `secret_versions` stand for the values of secrets in the key of the step cache; for a step with `cache` only.
    `withheld` says why the step does not get secrets that it declared, by name; what is in neither was known once.
    `problem` is why the attempt cannot be begun: it is errored.
    `trusted`: its compose file may use what is for people who may write to the repository.
    `network`: that of the run is one of this machine, made by the runner, or "overlay": across machines, made by the server.
    """

    lease: Lease
    state: str
    step: Step
    repository: str
    input_commit: str
    source_objects: tuple[str, ...]  # object directories that the workspace's .git borrows from
    variables: Mapping[str, str]
    secrets: Mapping[str, str]
    environment: Mapping[str, str]
    facts: Mapping[str, Any]
    trailers: Mapping[str, str]
    secret_versions: Mapping[str, str] = field(default_factory=dict)
    withheld: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    trusted: bool = True
    stop: str = ""
    launched_ago: float | None = None
    token: str = ""
    history: str = ""
    source: str = ""
    network: Network = ""
    upcoming: tuple[Assignment, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceResult:
    """How the container of a service was when the verdict was made: `status` as the engine calls it, mostly "exited"."""

    status: str
    exit_code: int | None = None
    oom_killed: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How an attempt ended. Phase times in seconds by name; `changes` counts paths by A, M, D; `services` by name.

    `cached` says whose result it is when the attempt did not have to run.
    """

    outcome: Outcome
    reason: Reason | None = None
    message: str = ""
    exit_code: int | None = None
    commit: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    phases: Mapping[str, float] = field(default_factory=dict)
    changes: Mapping[str, int] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, ServiceResult] = field(default_factory=dict)
    cached: Origin | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """An order to stop an attempt: gracefully, or at once when `force`."""

    lease: Lease
    force: bool


Order = Literal["", "graceful", "force"]
STOPS: tuple[Order, ...] = ("", "graceful", "force")  # orders to stop an attempt; one never goes back to an earlier one


@dataclass(frozen=True, slots=True)
class Held:
    """An attempt that a runner works on, and which of STOPS it obeys."""

    lease: Lease
    stop: Order = ""


@dataclass(frozen=True, slots=True)
class MachineLoad:
    """How loaded a machine is: processes that run or want to (the mean of a minute), bytes that are free, bytes kept of runs."""

    processes: float = 0.0
    memory_free: int = 0
    disk_free: int = 0
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What a runner does: attempts it works on, ended runs whose directories and networks it clears away just now."""

    held: tuple[Held, ...] = ()
    forgetting: tuple[str, ...] = ()
    load: MachineLoad | None = None


@dataclass(frozen=True, slots=True)
class Beat:
    """Answer to a heartbeat: what to stop, which runs are over (their directories and network can go).

    `draining`: there is no more work for this runner; it ends when it has none left. `new_key`: it is to make itself one.
    """

    stops: tuple[Stop, ...] = ()
    ended_runs: tuple[str, ...] = ()
    draining: bool = False
    new_key: bool = False

    @property
    def urgent(self) -> bool:
        """Whether the runner has something to do."""
        return bool(self.stops or self.ended_runs)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a runner says of its machine, for people to read and for placement to go by. `memory` in bytes.

    `hostname`, `os`, `arch`, `engine_labels`, `generic` are the engine's; `node` and `role` are there on a machine of a Swarm.
    """

    version: str = ""
    machine: str = ""  # kind of processor
    engine: str = ""
    compose: str = ""
    cpus: int = 0
    memory: int = 0
    hostname: str = ""
    os: str = ""
    arch: str = ""
    node: str = ""
    role: str = ""
    engine_labels: Mapping[str, str] = field(default_factory=dict)
    generic: Mapping[str, int] = field(default_factory=dict)


class RunnerClient(Protocol):
    """Calls of a runner. `runner` is NAME/LIFE: each start of its program is a new life and takes over what the last one held."""

    async def claim(self, runner: str, *, request_key: str, wait: float) -> Assignment | None:
        """Return an attempt to work on, waiting up to `wait` seconds for one. Repeating a key repeats the answer.

        Attempts that an earlier life of the runner held come first, in state "launched" when it may have started
        containers: the runner looks for those and goes on with them.
        """
        ...

    async def phase(self, lease: Lease, phase: str) -> None:
        """Say what the attempt is doing now; for display only, may be lost."""
        ...

    async def cached(self, lease: Lease, key: str) -> AttemptResult | None:
        """Return the result that was recorded under a key of the step cache, committed already as that of this attempt.

        None: there is none, or it does not fit; the step has to run. Then its result is recorded under the key.
        """
        ...

    async def launched(self, lease: Lease, compose: Mapping[str, Any]) -> None:
        """Say, before the first container starts, that containers may run from now on; with secrets masked, of what file."""
        ...

    async def healthy(self, lease: Lease, result: AttemptResult) -> None:
        """Report a background step as up; it keeps its lease."""
        ...

    async def append_log(self, lease: Lease, offset: int, entries: Sequence[LogEntry]) -> int:
        """Append output at a byte offset and return the next one. Bytes that are already kept are skipped."""
        ...

    async def log_state(self, lease: Lease) -> tuple[int, Mapping[str, int]]:
        """Return the log's next offset and the time of the last entry by service, for going on after a restart."""
        ...

    async def heartbeat(self, runner: str, report: Report, *, wait: float) -> Beat:
        """Renew the leases that are reported; returns when there is an order, or after `wait` seconds.

        A reported lease that is not the runner's any more comes back as an order to stop by force.
        """
        ...

    async def forgotten(self, runner: str, run: str) -> None:
        """Say that nothing of an ended run is left on the runner's machine."""
        ...

    async def finish(self, lease: Lease, result: AttemptResult) -> None:
        """Hand in the result. Repeating it is harmless."""
        ...
