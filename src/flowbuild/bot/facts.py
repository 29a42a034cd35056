"""What there is to say: what came of an action (a fact), or what is to be known first (a question). Plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flowbuild.bot import seen
from flowbuild.bot.actions import Action, Start
from flowbuild.client.base import RunView, VariableChange
from flowbuild.core.model import Input


@dataclass(frozen=True, slots=True)
class Started:
    """A run was started; `what` of its pipeline was to run again when it came from another."""

    run: RunView
    of: RunView | None = None
    steps: Sequence[str] = ()
    ignored: bool = False


@dataclass(frozen=True, slots=True)
class RunShown:
    """A run, and what its steps wait for."""

    run: RunView
    waiting: Mapping[str, seen.Waiting] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunList:
    """Runs, the newest first."""

    runs: Sequence[RunView]
    of: str = ""  # the pipeline or project, when it is one


@dataclass(frozen=True, slots=True)
class PipelineList:
    """Projects and their pipelines; `state`: how they are doing is asked for, not what there is."""

    projects: Sequence[seen.ProjectGlance]
    state: bool = False


@dataclass(frozen=True, slots=True)
class Watched:
    """Somebody is told when the run ends."""

    run: RunView


@dataclass(frozen=True, slots=True)
class Cause:
    """A step that went wrong. `lines` from number `first` of its log; `guessed`: they are only its last ones."""

    key: str
    outcome: str
    words: str
    message: str
    lines: Sequence[str] = ()
    first: int = 0
    guessed: bool = False


@dataclass(frozen=True, slots=True)
class Explained:
    """Why a run went wrong. `green`: the last good one before it of pipeline and branch; `between`: others since.

    `commits`: what came in since then, the newest first, as far as who asks may see the source; `differs`: between the two; `problem`: why that is not known.
    """

    run: RunView
    causes: Sequence[Cause] = ()
    green: RunView | None = None
    between: Sequence[RunView] = ()
    commits: Sequence[seen.Commit] = ()
    differs: seen.Comparison | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class LogShown:
    """The end of a log of `total` lines; `ended`: nothing comes after it."""

    run: RunView
    step: str
    lines: Sequence[str]
    total: int
    ended: bool


@dataclass(frozen=True, slots=True)
class DiffShown:
    """What a step changed; `patch`: of `file`."""

    run: RunView
    step: str
    files: Sequence[seen.ChangedFile]
    more: bool = False
    variables: Sequence[VariableChange] = ()
    file: str = ""
    patch: Sequence[str] = ()
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Steered:
    """Something was done to a run: approved, rejected, cancelled."""

    verb: str
    run: RunView
    step: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Holding:
    """A pipeline is held, or not any more."""

    project: str
    pipeline: str
    held: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Timers:
    """The schedules of a project."""

    project: str
    timers: Sequence[seen.Timer]
    pipeline: str = ""


@dataclass(frozen=True, slots=True)
class NodeList:
    """The machines."""

    nodes: Sequence[seen.Node]


@dataclass(frozen=True, slots=True)
class QueueShown:
    """What waits and what runs."""

    works: Sequence[seen.Work]


@dataclass(frozen=True, slots=True)
class Notified:
    """What is told here unasked, from now on. `project`: "" of all that one may see (a direct message)."""

    project: str
    events: Sequence[str]
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Linked:
    """Somebody is known now."""

    user: str


@dataclass(frozen=True, slots=True)
class Known:
    """Who somebody is. `project`: that is meant here; `page`: where one makes a code that says who one is."""

    me: seen.Me
    project: str = ""
    page: str = ""


@dataclass(frozen=True, slots=True)
class Using:
    """The project that is meant here, "" none."""

    project: str
    changed: bool = False


@dataclass(frozen=True, slots=True)
class HelpShown:
    """What can be said; of one command when it is named."""

    command: str = ""
    linked: bool = True


Fact = (
    Started
    | RunShown
    | RunList
    | PipelineList
    | Watched
    | Explained
    | LogShown
    | DiffShown
    | Steered
    | Holding
    | Timers
    | NodeList
    | QueueShown
    | Notified
    | Linked
    | Known
    | Using
    | HelpShown
)


@dataclass(frozen=True, slots=True)
class Option:
    """One of several things that may be meant."""

    label: str
    action: Action


@dataclass(frozen=True, slots=True)
class Choose:
    """Which of several is meant. `more`: how many there are that are not shown."""

    about: str
    options: Sequence[Option]
    more: int = 0


@dataclass(frozen=True, slots=True)
class Fill:
    """What the value of an input is to be. `problem`: what is wrong with the one that was given."""

    action: Start
    input: Input
    problem: str = ""


@dataclass(frozen=True, slots=True)
class StartPlan:
    """What starting a pipeline will do."""

    project: str
    pipeline: str
    ref: str
    inputs: Mapping[str, object]
    environments: Sequence[str]


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What will be done to a run: approve, reject, cancel, retry. `steps`: to which; `environment`: that is acted on."""

    verb: str
    run: RunView
    steps: Sequence[str] = ()
    environments: Sequence[str] = ()
    comment: str = ""


@dataclass(frozen=True, slots=True)
class HoldPlan:
    """What will be done to a pipeline."""

    project: str
    pipeline: str
    hold: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Confirm:
    """Whether it is to be done."""

    action: Action
    plan: StartPlan | RunPlan | HoldPlan


Question = Choose | Fill | Confirm
