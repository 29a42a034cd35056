"""What people can ask for, typed. Names are as they were typed until something was found by them; then they are whole.

`pipeline` is PIPELINE or PROJECT/PIPELINE; `run` a number, #NUMBER, PROJECT#NUMBER, an id or the beginning of one, or `last`.
`sure`: it was said what will happen, and the answer was yes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Start:
    """Start a pipeline. `ref`: a branch, tag or commit, "" the default branch; `variables` as well as inputs are text."""

    pipeline: str
    ref: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    sure: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """How a run, a pipeline, a project or (with "") everything is doing."""

    what: str = ""


@dataclass(frozen=True, slots=True)
class Show:
    """How far a run is."""

    run: str


@dataclass(frozen=True, slots=True)
class Runs:
    """The latest runs."""

    what: str = ""  # a pipeline, or a project
    branch: str = ""
    state: str = ""
    limit: int = 10


@dataclass(frozen=True, slots=True)
class Last:
    """The latest run, of a pipeline or of all."""

    pipeline: str = ""
    branch: str = ""


@dataclass(frozen=True, slots=True)
class Pipelines:
    """Which pipelines there are."""

    project: str = ""


@dataclass(frozen=True, slots=True)
class Watch:
    """Tell when a run ends, once."""

    run: str


@dataclass(frozen=True, slots=True)
class Why:
    """Why a run went wrong, or does not go on."""

    run: str


@dataclass(frozen=True, slots=True)
class Log:
    """The last lines of a step's log."""

    run: str
    step: str
    lines: int = 20


@dataclass(frozen=True, slots=True)
class Diff:
    """What a step changed; `file`: how it changed this one."""

    run: str
    step: str
    file: str = ""


@dataclass(frozen=True, slots=True)
class Approve:
    """Let a step act on its environment. `words`: its name and a comment, one of them or none."""

    run: str
    words: str = ""
    step: str = ""
    sure: bool = False


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse it."""

    run: str
    words: str = ""
    step: str = ""
    sure: bool = False


@dataclass(frozen=True, slots=True)
class Cancel:
    """End a run."""

    run: str
    sure: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """Start a run again: from steps, all of it, or (neither) what went wrong."""

    run: str
    steps: Sequence[str] = ()
    everything: bool = False
    sure: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """Let no run of a pipeline begin until further notice."""

    pipeline: str
    reason: str = ""
    sure: bool = False


@dataclass(frozen=True, slots=True)
class Unhold:
    """Let runs of it begin again."""

    pipeline: str
    sure: bool = False


@dataclass(frozen=True, slots=True)
class Schedule:
    """What begins by itself, and when."""

    what: str = ""


@dataclass(frozen=True, slots=True)
class Nodes:
    """The machines that execute steps."""


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits for a machine, and what runs."""


@dataclass(frozen=True, slots=True)
class Notify:
    """What is told here unasked. `verb`: on, off, list; `events`: words of core.notifying.NewsKind."""

    verb: str = "list"
    events: Sequence[str] = ()
    project: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """Say who one is on the server."""

    code: str


@dataclass(frozen=True, slots=True)
class Whoami:
    """Who one is on the server, and what one may there."""


@dataclass(frozen=True, slots=True)
class Use:
    """The project that is meant in this room when none is named; "" says which one that is."""

    project: str = ""


@dataclass(frozen=True, slots=True)
class Help:
    """What can be said."""

    command: str = ""


Action = (
    Start
    | Status
    | Show
    | Runs
    | Last
    | Pipelines
    | Watch
    | Why
    | Log
    | Diff
    | Approve
    | Reject
    | Cancel
    | Retry
    | Hold
    | Unhold
    | Schedule
    | Nodes
    | Queue
    | Notify
    | Link
    | Whoami
    | Use
    | Help
)
