"""What the server tells, as far as the bot looks at it. Answers that are not as they should be raise ServerUnreachable."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from flowbuild.client.base import RunView, VariableChange
from flowbuild.core.errors import ServerUnreachable
from flowbuild.core.human import count
from flowbuild.core.model import Input

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Hold:
    """Why nothing of a pipeline begins: who said so, when (seconds since 1970) and why."""

    by: str = ""
    at: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PipelineGlance:
    """A pipeline and its latest run. `known`: the default branch has it."""

    name: str
    known: bool = True
    description: str = ""
    inputs: Sequence[Input] = ()
    runs: Sequence[RunView] = ()
    median_seconds: float | None = None
    hold: Hold | None = None


@dataclass(frozen=True, slots=True)
class ProjectGlance:
    """A project and its pipelines. `problem`: why they may be out of date; `errors`: how many are in its pipeline files."""

    name: str
    branch: str = ""
    problem: str = ""
    errors: int = 0
    pipelines: Sequence[PipelineGlance] = ()

    @property
    def trouble(self) -> str:
        """Return why pipelines may be missing here, "" when there is no reason."""
        wrong = f"{count(self.errors, 'error')} in the pipeline files of {self.branch}" if self.errors else ""
        return "; ".join(part for part in (wrong, self.problem) if part)


@dataclass(frozen=True, slots=True)
class PipelineStep:
    """A step as it is in a file. `environment`: what it acts on."""

    key: str
    environment: str | None = None
    approve: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline at a commit."""

    name: str
    inputs: Sequence[Input] = ()
    steps: Sequence[PipelineStep] = ()


@dataclass(frozen=True, slots=True)
class Ref:
    """A branch or tag."""

    name: str
    commit: str
    kind: str = "branch"
    default: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a step waits for."""

    waits_for: str
    message: str
    since: float | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a log."""

    line: int
    text: str | None = None
    base64: str | None = None


@dataclass(frozen=True, slots=True)
class LogPage:
    """Some of a log. `lines`: how many there are in all."""

    lines: int
    attempt: int
    ended: bool
    chunks: Sequence[Piece] = ()

    def text(self) -> list[str]:
        """Return the lines; pieces of one line are put together."""
        data = b"".join(_bytes(chunk) for chunk in self.chunks)
        return data.decode("utf-8", "replace").splitlines()


@dataclass(frozen=True, slots=True)
class Matches:
    """Numbers of lines of a log."""

    lines: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of the source."""

    commit: str
    author: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class StepCompared:
    """A step of two runs. `redefined`: its definition is not the same."""

    key: str
    redefined: bool = False


@dataclass(frozen=True, slots=True)
class InputChange:
    """An input that differs."""

    name: str
    before: Any = None
    after: Any = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two runs. `changes`: how many files, by A, M, D, T."""

    steps: Sequence[StepCompared] = ()
    inputs: Sequence[InputChange] = ()
    variables: Sequence[VariableChange] = ()
    changes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A file that differs. `path` goes into further questions, `name` is for people."""

    status: str
    name: str
    path: str
    size_before: int | None = None
    size_after: int | None = None


@dataclass(frozen=True, slots=True)
class FilePage:
    """Some of the files that differ; `next`: there are more."""

    items: Sequence[ChangedFile] = ()
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Patch:
    """How a file differs, as git shows it, in base64. `cut`: not all of it."""

    patch: str
    cut: bool = False

    def text(self) -> list[str]:
        """Return its lines."""
        return _decoded(self.patch).decode("utf-8", "replace").splitlines()


@dataclass(frozen=True, slots=True)
class Work:
    """An attempt that waits for a runner or has one."""

    number: int
    project: str
    pipeline: str
    step: str
    state: str
    queued_at: float
    started_at: float | None = None
    runner: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """A machine that executes steps."""

    name: str
    state: str
    closed: str = ""
    capacity: int = 0
    busy: int = 0
    heard: bool = True
    seen_at: float | None = None


@dataclass(frozen=True, slots=True)
class Timer:
    """A schedule of a pipeline."""

    pipeline: str
    words: str
    branch: str = ""
    timezone: str = ""
    paused_at: float | None = None
    next: Sequence[float] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Me:
    """Who asks."""

    kind: str
    name: str = ""
    admin: bool = False
    roles: Mapping[str, str] = field(default_factory=dict)
    scopes: Sequence[str] | None = None  # of a token; None: not a token


@dataclass(frozen=True, slots=True)
class Server:
    """Which server it is."""

    public_url: str


@dataclass(frozen=True, slots=True)
class Channel:
    """Where people are told things."""

    name: str
    kind: str
    target: str = ""
    rule: Mapping[str, Any] = field(default_factory=dict)
    disabled: bool = False


glances = TypeAdapter(list[ProjectGlance])
pipeline = TypeAdapter(Pipeline)
refs = TypeAdapter(list[Ref])
waiting = TypeAdapter(Waiting)
log_page, matches = TypeAdapter(LogPage), TypeAdapter(Matches)
comparison, files, patch = TypeAdapter(Comparison), TypeAdapter(FilePage), TypeAdapter(Patch)
works, nodes, timers = TypeAdapter(list[Work]), TypeAdapter(list[Node]), TypeAdapter(list[Timer])
me, server = TypeAdapter(Me), TypeAdapter(Server)
channel, channels = TypeAdapter(Channel), TypeAdapter(list[Channel])
commits = TypeAdapter(list[Commit])
variables = TypeAdapter(dict[str, str])
_run = TypeAdapter(RunView)


def read(kind: TypeAdapter[T], answer: Any) -> T:
    """Return an answer of the server as a value."""
    try:
        return kind.validate_python(answer)
    except ValidationError as error:
        raise ServerUnreachable(f"the server does not answer as I know it: {error.errors()[0]['msg']}") from error


def run(answer: Any) -> RunView:
    """Return a run, also one of a list, which says by id what it is a rerun of, where the run by itself says the number."""
    if isinstance(answer, dict) and isinstance(answer.get("rerun_of"), str):
        answer = {**answer, "rerun_of": None}
    return read(_run, answer)


def runs(page: Any) -> list[RunView]:
    """Return the runs of a page."""
    items = page.get("items") if isinstance(page, dict) else None
    if not isinstance(items, list):
        raise ServerUnreachable("the server does not answer as I know it: there are no items in a list")
    return [run(item) for item in items]


def projects(answer: Any) -> list[ProjectGlance]:
    """Return all projects with their pipelines."""
    cleaned = [
        {**project, "pipelines": [_latest(each) for each in project.get("pipelines", ())]}
        if isinstance(project, dict)
        else project
        for project in (answer if isinstance(answer, list) else [answer])
    ]
    return read(glances, cleaned)


def _latest(pipeline: Any) -> Any:
    if not isinstance(pipeline, dict):
        return pipeline
    return {
        **pipeline,
        "runs": [{**each, "rerun_of": None} for each in pipeline.get("runs", ()) if isinstance(each, dict)],
    }


def _bytes(piece: Piece) -> bytes:
    if piece.base64 is None:
        return (piece.text or "").encode("utf-8", "replace")
    return _decoded(piece.base64)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except ValueError:
        return b""
