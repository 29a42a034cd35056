"""What tools return beside text: facts as plain values, small enough for an agent to read.

Without slots: the library that makes schemas of these classes takes a slot for a default.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flowbuild.bot import facts, seen
from flowbuild.bot.replies import parts
from flowbuild.client.base import RunView, StepView
from flowbuild.core import human


@dataclass(frozen=True)
class StepOut:
    """A step. `why`: in words how it ended; `approve`: it waits for an approval; `waits`: what for, while it does."""

    key: str
    state: str
    outcome: str | None
    why: str
    message: str
    exit_code: int | None
    environment: str
    approve: bool
    waits: str


@dataclass(frozen=True)
class RunOut:
    """A run. `run` names it in other calls; `seconds`: that it took, none while it goes on."""

    run: str
    id: str
    pipeline: str
    state: str
    branch: str
    commit: str
    url: str
    seconds: float | None
    inputs: dict[str, Any]
    steps: list[StepOut]


@dataclass(frozen=True)
class RunsOut:
    """Runs, the newest first, without their steps."""

    runs: list[RunOut]


@dataclass(frozen=True)
class InputOut:
    """An input of a pipeline; required when `default` is none."""

    name: str
    type: str
    options: list[str]
    default: str | int | float | bool | None
    description: str


@dataclass(frozen=True)
class PipelineOut:
    """A pipeline; `pipeline` names it in other calls. `held`: why nothing of it begins."""

    pipeline: str
    description: str
    inputs: list[InputOut]
    latest: RunOut | None
    held: str | None


@dataclass(frozen=True)
class PipelinesOut:
    """Pipelines. `problems`: why some may be missing, by project."""

    pipelines: list[PipelineOut]
    problems: dict[str, str]


@dataclass(frozen=True)
class CauseOut:
    """A step that went wrong, with lines of its log from number `first`; `guessed`: they are only its last ones."""

    step: str
    outcome: str
    why: str
    message: str
    lines: list[str]
    first: int
    guessed: bool


@dataclass(frozen=True)
class WhyOut:
    """Why a run went wrong. `green`: the last good run of its pipeline and branch; what differs since then."""

    run: RunOut
    causes: list[CauseOut]
    green: RunOut | None
    commits: list[str]
    inputs: list[str]
    variables: list[str]
    redefined: list[str]
    files: dict[str, int]


@dataclass(frozen=True)
class LogOut:
    """The last lines of a log of `total` lines; `ended`: nothing comes after them."""

    run: str
    step: str
    lines: list[str]
    total: int
    ended: bool


@dataclass(frozen=True)
class FileOut:
    """A file that a step added (A), changed (M), deleted (D) or made another thing of (T). Sizes in bytes."""

    status: str
    name: str
    size_before: int | None
    size_after: int | None


@dataclass(frozen=True)
class DiffOut:
    """What a step changed. `more`: there are more files; `patch`: lines of that of `file`."""

    run: str
    step: str
    files: list[FileOut]
    more: bool
    variables: dict[str, tuple[str | None, str | None]]
    file: str
    patch: list[str]


def step_of(step: StepView, waits: str = "") -> StepOut:
    """Return a step."""
    words = human.why(step.outcome, step.reason, step.exit_code)
    outcome = None if step.outcome is None else str(step.outcome)
    approve = bool(step.approve)
    return StepOut(
        step.key, str(step.state), outcome, words, step.message, step.exit_code, step.environment, approve, waits
    )


def run_of(view: RunView, waiting: dict[str, str] | None = None) -> RunOut:
    """Return a run."""
    seconds = None if view.finished_at is None else view.finished_at - view.created_at
    steps = [step_of(step, (waiting or {}).get(step.key, "")) for step in view.steps]
    name, page = parts.ref(view), parts.page(view)
    state = "interrupted" if view.interrupted else str(view.state)
    about = (name, view.id, f"{view.project}/{view.pipeline}", state, view.branch, view.commit, page)
    return RunOut(*about, seconds, dict(view.inputs), steps)


def shown(fact: facts.RunShown) -> RunOut:
    """Return a run with what its steps wait for."""
    return run_of(fact.run, {key: each.message for key, each in fact.waiting.items()})


def runs(fact: facts.RunList) -> RunsOut:
    """Return runs."""
    return RunsOut([run_of(each) for each in fact.runs])


def pipelines(fact: facts.PipelineList) -> PipelinesOut:
    """Return pipelines."""
    found = [_pipeline(project, each) for project in fact.projects for each in project.pipelines]
    return PipelinesOut(found, {each.name: each.trouble for each in fact.projects if each.trouble})


def _pipeline(project: seen.ProjectGlance, each: seen.PipelineGlance) -> PipelineOut:
    inputs = [InputOut(one.name, str(one.type), list(one.options), one.default, one.description) for one in each.inputs]
    latest = run_of(each.runs[0]) if each.runs else None
    held = None if each.hold is None else each.hold.reason
    return PipelineOut(f"{project.name}/{each.name}", each.description, inputs, latest, held)


def explained(fact: facts.Explained) -> WhyOut:
    """Return why a run went wrong."""
    causes = [
        CauseOut(each.key, each.outcome, each.words, each.message, _lines(each.lines), each.first, each.guessed)
        for each in fact.causes
    ]
    green = None if fact.green is None else run_of(fact.green)
    differs = fact.differs or seen.Comparison()
    return WhyOut(
        run_of(fact.run),
        causes,
        green,
        [f"{each.commit} {each.author}: {each.subject}" for each in fact.commits],
        [f"{each.name}: {each.before!r} → {each.after!r}" for each in differs.inputs],
        [each.name for each in differs.variables],
        [each.key for each in differs.steps if each.redefined],
        dict(differs.changes),
    )


def log(fact: facts.LogShown) -> LogOut:
    """Return the end of a log."""
    return LogOut(parts.ref(fact.run), fact.step, _lines(fact.lines), fact.total, fact.ended)


def diff(fact: facts.DiffShown) -> DiffOut:
    """Return what a step changed."""
    files = [FileOut(each.status, each.name, each.size_before, each.size_after) for each in fact.files]
    variables = {each.name: (each.before, each.after) for each in fact.variables}
    return DiffOut(parts.ref(fact.run), fact.step, files, fact.more, variables, fact.file, _lines(fact.patch))


def _lines(lines: Sequence[str]) -> list[str]:
    return list(parts.lines_of(lines).lines)
