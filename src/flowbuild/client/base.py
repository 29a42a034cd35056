"""What a client of the server sees: views (plain values) and the calls, in process by `services`, over REST by `client.http`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from flowbuild.client.runner import ServiceResult
from flowbuild.core.cache import Origin
from flowbuild.core.model import EdgeKind, Join
from flowbuild.core.states import EdgeState, Outcome, Reason, RunState, StepState

PHASES = ("claim", "fetch", "cache", "checkout", "pull", "create", "run", "commit", "push")


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One try of a step. Phase times are seconds, in the order they happened; `changes` counts paths by A, M, D."""

    attempt: int
    epoch: int
    state: str  # "queued", "running", "done"
    outcome: Outcome | None = None
    reason: Reason | None = None
    message: str = ""
    exit_code: int | None = None
    queued_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    phase: str = ""  # what it does now
    phase_began: Mapping[str, float] = field(default_factory=dict)  # of what it did until then, too; only while it runs
    phases: Mapping[str, float] = field(default_factory=dict)
    node: str = ""  # the runner on another machine that has it, or had it
    input_commit: str | None = None
    commit: str | None = None
    changes: Mapping[str, int] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, ServiceResult] = field(default_factory=dict)  # how their containers ended, once they have
    cached: Origin | None = None  # whose result it is when the attempt did not have to run


@dataclass(frozen=True, slots=True)
class HolderView:
    """The step that holds an exclusive environment. `interrupted`: nobody drives its run, so it does not let go by itself."""

    environment: str
    run: str
    number: int
    project: str
    step: str
    interrupted: bool


@dataclass(frozen=True, slots=True)
class StepView:
    """A step of a run and all its attempts. `returning`: it is serving, but its service was lost and is being brought back."""

    key: str
    name: str
    state: StepState
    outcome: Outcome | None = None
    reason: Reason | None = None
    message: str = ""
    exit_code: int | None = None
    allow_failure: bool = False
    background: bool = False
    join: Join = Join.ALL
    reused: bool = False
    cached: bool = False
    returning: bool = False
    approve: tuple[str, ...] = ()  # who may approve, while it waits for that
    holder: HolderView | None = None  # of the environment that it waits for
    main: tuple[str, ...] = ()
    environment: str = ""  # that it acts on
    started_at: float | None = None
    finished_at: float | None = None
    input_commit: str | None = None
    result_commit: str | None = None
    attempts: tuple[AttemptView, ...] = ()


@dataclass(frozen=True, slots=True)
class EdgeView:
    """An edge and whether it was taken."""

    source: str
    target: str
    kind: EdgeKind
    state: EdgeState
    condition: str | None = None


@dataclass(frozen=True, slots=True)
class RunView:
    """A run with its whole graph; steps and edges in file order. `number` counts within the project.

    `actor` began it, `cause` says why, `trust` is one of `core.sources.Trust`. `interrupted`: it is not final, and nobody
    drives it. It can be resumed; until then nothing happens.
    """

    id: str
    number: int
    project: str
    pipeline: str
    state: RunState
    created_at: float
    finished_at: float | None
    branch: str = ""
    commit: str = ""
    dirty: bool = False
    event: str = "manual"
    actor: str = ""
    trust: str = "trusted"
    cause: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    rerun_of: int | None = None
    interrupted: bool = False
    repository: str = ""
    steps: tuple[StepView, ...] = ()
    edges: tuple[EdgeView, ...] = ()


@dataclass(frozen=True, slots=True)
class RunUpdate:
    """The run changed: the event that did it (its `type`, step and so on as a mapping) and the run after it."""

    seq: int
    at: float
    event: Mapping[str, Any]
    run: RunView


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Output of one service of an attempt, masked, otherwise byte-exact. `offset` counts bytes in the attempt's log.

    `line` counts, from 1, the lines of all services; one longer than 16 KiB is several.
    """

    step: str
    attempt: int
    service: str
    stream: str
    time_ns: int
    data: bytes
    offset: int
    line: int = 0


@dataclass(frozen=True, slots=True)
class VariableChange:
    """A variable before and after a step; None = not there."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class FileChange:
    """A path of the workspace before and after a step; sizes in bytes, None = not there. Status is A, M, D or T (type)."""

    status: str
    path: str
    size_before: int | None
    size_after: int | None


@dataclass(frozen=True, slots=True)
class StepDiff:
    """What a step changed (or what differs between two steps)."""

    files: tuple[FileChange, ...]
    variables: tuple[VariableChange, ...]
    patch: bytes = b""


@dataclass(frozen=True, slots=True)
class StartRequest:
    """Start a pipeline of the repository at `directory` as its files are now. `pipeline` may be "" when there is one."""

    directory: str
    pipeline: str = ""
    file: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    fresh: bool = False  # take no result from the step cache


class FlowClient(Protocol):
    """Calls that every client may make. Raises the errors of `core.errors`."""

    async def start(self, request: StartRequest) -> RunView:
        """Create a run and begin it."""
        ...

    async def get(self, run: str) -> RunView:
        """Return a run by id, unique prefix of the id, or number within the current project."""
        ...

    async def runs(self, *, everything: bool = False, limit: int = 20) -> Sequence[RunView]:
        """Return the newest runs first, of the current project or of all."""
        ...

    def watch(self, run: str, after: int = 0) -> AsyncIterator[RunUpdate]:
        """Yield every change of the run after event number `after`, then as it happens, until the run is final.

        Ends also when nobody drives the run: with an update of type `run_interrupted` that is not stored.
        """
        ...

    def logs(
        self,
        run: str,
        step: str,
        *,
        attempt: int | None = None,
        offset: int = 0,
        service: str = "",
        follow: bool = False,
    ) -> AsyncIterator[LogChunk]:
        """Yield the log of an attempt (default: the latest) from a byte offset; with `service` only its output.

        With `follow` also what comes, until the attempt ends or nobody drives its run any more.
        """
        ...

    async def cancel(self, run: str, *, force: bool = False) -> None:
        """End the run: gracefully, or at once."""
        ...

    async def approve(self, run: str, step: str, *, comment: str = "") -> None:
        """Let a waiting step act on its environment."""
        ...

    async def reject(self, run: str, step: str, *, comment: str = "") -> None:
        """Refuse it; the step is failed."""
        ...

    async def delete(self, run: str) -> None:
        """Remove a run that has ended, with its repository and logs."""
        ...

    async def rerun(
        self,
        run: str,
        *,
        from_steps: Sequence[str] = (),
        variables: Mapping[str, str],
        secrets: Mapping[str, str],
        failed: bool = False,
        fresh: bool = False,
    ) -> RunView:
        """Start a new run that takes over everything before `from_steps` (none: run all again).

        `failed` names all steps that went wrong: failed (and not allowed to), errored or cancelled. Steps that are named
        really run; of what follows, results may be taken from the step cache unless `fresh`.
        """
        ...

    async def resume(self, run: str, *, secrets: Mapping[str, str]) -> RunView:
        """Go on with a run whose program was killed."""
        ...

    async def diff(self, run: str, step: str, other: str | None = None, *, patch: bool = False) -> StepDiff:
        """Return what a step changed, or how its result differs from that of `other`."""
        ...

    async def clone(self, run: str, directory: str) -> RunView:
        """Clone the run repository, big files included, into a directory that does not exist yet."""
        ...


@dataclass(frozen=True, slots=True)
class DebugRequest:
    """Open a shell (or run `command`) in the input of a step's attempt (default: the latest), or in what it left when `output`."""

    run: str
    step: str
    service: str = ""
    attempt: int | None = None
    output: bool = False
    command: tuple[str, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that runs need: whether it is there, what it is, and what to do if not."""

    ok: bool
    text: str
    hint: str = ""


class Session(Protocol):
    """A connection to a server; the local one is the server itself, for as long as it is open."""

    @property
    def client(self) -> FlowClient:
        """The calls of this session."""
        ...

    @property
    def abandoned(self) -> Sequence[RunView]:
        """Interrupted runs that were ended when the session was opened."""
        ...

    async def settle(self, run: str) -> None:
        """Return when the run has ended and everything it used is cleaned up."""
        ...

    async def doctor(self) -> Sequence[Check]:
        """Look at everything that runs need."""
        ...

    async def debug(self, request: DebugRequest) -> int:
        """Run a shell as asked on this terminal; return its exit code."""
        ...


class Connect(Protocol):
    """Opens sessions. `drive`: this process works on runs; `abandon`: end interrupted runs first."""

    def __call__(
        self, directory: str, *, drive: bool = False, abandon: bool = False
    ) -> AbstractAsyncContextManager[Session]:
        """Return a context manager of a session for the project that `directory` belongs to."""
        ...


class ServerClient(FlowClient, Protocol):
    """A client of a server elsewhere, which has more than runs."""

    async def ask(self, method: str, path: str, body: Any = None, /, *, form_token: str = "", **query: str) -> Any:
        """Send a request to the REST API, below /api/v1/; return its answer as plain values.

        `form_token` goes with changes that a login with a password makes, in the same session.
        """
        ...


class ServerSession(Session, Protocol):
    """A connection to a server elsewhere."""

    @property
    def client(self) -> ServerClient:
        """The calls of this session."""
        ...


class Dial(Protocol):
    """Opens sessions on a server elsewhere, with a token (empty: as nobody in particular) and for a project."""

    def __call__(self, url: str, token: str, project: str | None) -> AbstractAsyncContextManager[ServerSession]:
        """Return a context manager of a session."""
        ...


@dataclass(frozen=True, slots=True)
class RunnerRequest:
    """The addresses of the server that a machine works for. With a `code` it registers; without, it goes on as who it is."""

    servers: tuple[str, ...] = ()
    code: str = ""
    name: str = ""  # of the machine, when empty
    labels: Mapping[str, str] = field(default_factory=dict)
