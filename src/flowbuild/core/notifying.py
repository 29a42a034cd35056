"""What people are told of, and which of it a rule lets through; when, says `core.quiet`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from flowbuild.core.globs import matches
from flowbuild.core.ids import StepKey
from flowbuild.core.run import Run, StepRun
from flowbuild.core.states import RunState, StepState


class NewsKind(StrEnum):
    """What happened. `recovered` and `still_failing` take the place of succeeded and failed after a red run of the same branch."""

    STARTED = "started"
    FINISHED = "finished"  # in whatever way: as a rule's word; news say how
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ERRORED = "errored"
    RECOVERED = "recovered"
    STILL_FAILING = "still_failing"
    APPROVAL = "approval"  # a step waits for people
    CANCELLED = "cancelled"
    NODE_LOST = "node_lost"


@dataclass(frozen=True, slots=True)
class StepNews:
    """A step that did not succeed, or that waits. `lines`: the first that say why, of the log, at most 20."""

    key: str
    outcome: str
    message: str = ""
    exit_code: int | None = None
    lines: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class News:
    """Something that happened to a run, or to a machine (then only `node`, `message` and `at` are set).

    `author` and `actor`: of the commit as its address, and who began the run; `url` leads to the run's page.
    """

    kind: NewsKind
    at: float
    project: str = ""
    pipeline: str = ""
    run: str = ""
    number: int = 0
    branch: str = ""
    commit: str = ""
    subject: str = ""
    author: str = ""
    actor: str = ""
    url: str = ""
    seconds: float | None = None  # that the run took
    steps: Sequence[StepNews] = ()
    node: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours of the day in which nobody is disturbed: "22:00" to "07:00" in a timezone. `urgent` is told all the same."""

    begin: str
    end: str
    timezone: str = "UTC"
    urgent: Sequence[NewsKind] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """What a channel is told. Globs as in triggers; none means all.

    `mine`: only of runs that its person began or whose commit is theirs. `digest`: "" at once, "hourly", or "08:30", a time
    of day in the timezone of `timezone`. `mention`: names the author, on failures only.
    """

    on: Sequence[NewsKind] = (NewsKind.FAILED, NewsKind.ERRORED, NewsKind.RECOVERED, NewsKind.APPROVAL)
    pipelines: Sequence[str] = ()
    branches: Sequence[str] = ()
    mine: bool = False
    quiet: Quiet | None = None
    digest: str = ""
    timezone: str = "UTC"
    mention: bool = True


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a channel belongs to: the name here, and the e-mail address, which commits have, too."""

    name: str
    email: str = ""


@dataclass(frozen=True, slots=True)
class Happened:
    """Something in a run that is news; `steps`: those that wait for people."""

    kind: NewsKind
    steps: tuple[StepKey, ...] = ()


ENDS = {
    RunState.SUCCEEDED: NewsKind.SUCCEEDED,
    RunState.FAILED: NewsKind.FAILED,
    RunState.ERRORED: NewsKind.ERRORED,
    RunState.CANCELLED: NewsKind.CANCELLED,
}
FAILURES = frozenset({NewsKind.FAILED, NewsKind.ERRORED, NewsKind.STILL_FAILING})
_RED = frozenset({RunState.FAILED, RunState.ERRORED})
_OF_RUNS = frozenset({*ENDS.values(), NewsKind.RECOVERED, NewsKind.STILL_FAILING})  # each is an end
_FORMER = {"fixed": NewsKind.RECOVERED}  # words that earlier versions kept with runs


def happened(before: Run, after: Run) -> tuple[Happened, ...]:
    """Return what of a change of a run is news, in its order. How an end compares to the run before, `told_as` says."""
    found: list[Happened] = []
    if before.started_at is None and after.started_at is not None:
        found.append(Happened(NewsKind.STARTED))
    waiting = tuple(
        key
        for key, step in after.steps.items()
        if step is not before.steps[key] and _waits(after, step) and not _waits(before, before.steps[key])
    )
    if waiting:
        found.append(Happened(NewsKind.APPROVAL, waiting))
    if after.state.final and not before.state.final:
        found.append(Happened(ENDS[after.state]))
    return tuple(found)


def told_as(kind: NewsKind, previous: RunState | None) -> NewsKind:
    """Return what the end of a run is called after the one before it, of the same pipeline and branch (None: there is none).

    A success after a red run is a recovery. A failure after a failure is nothing new; after an error, which is ours, it is.
    """
    if kind is NewsKind.SUCCEEDED and previous in _RED:
        return NewsKind.RECOVERED
    if kind is NewsKind.FAILED and previous is RunState.FAILED:
        return NewsKind.STILL_FAILING
    return kind


def lets_through(rule: Rule, news: News, person: Person | None = None) -> bool:
    """Whether a channel with a rule is told of something; `person`: whose channel it is.

    Lost machines have no pipeline and no branch, and are nobody's: of them only `on` says whether they are told.
    """
    if not _named(rule.on, news.kind):
        return False
    if news.kind is NewsKind.NODE_LOST:
        return True
    fits = _fits(rule.pipelines, news.pipeline) and _fits(rule.branches, news.branch)
    return fits and (not rule.mine or (person is not None and is_of(news, person)))


def is_of(news: News, person: Person) -> bool:
    """Whether somebody began the run, or wrote its commit."""
    wrote = bool(person.email) and news.author.casefold() == person.email.casefold()
    return wrote or (bool(person.name) and news.actor == person.name)


def asks_for(notify: Iterable[Mapping[str, Any]], channel: str, news: News) -> bool:
    """Whether the `notify` of a pipeline file (see `core.model.Pipeline`) wants a channel of the project to be told."""
    return any(
        channel in entry["to"]
        and _named([_FORMER.get(word, word) for word in entry["on"]], news.kind)
        and _fits(entry.get("branches", ()), news.branch)
        for entry in notify
    )


def _named(words: Iterable[str], kind: NewsKind) -> bool:
    """Whether one of some words means what happened: some mean more than themselves."""
    wanted = set(words)
    return (
        kind in wanted
        or (kind in _OF_RUNS and NewsKind.FINISHED in wanted)
        or (kind is NewsKind.RECOVERED and NewsKind.SUCCEEDED in wanted)
    )


def _fits(globs: Iterable[str], name: str) -> bool:
    """Whether a name is meant by patterns: none mean all. The runs of tags have no branch, which no pattern means."""
    patterns = tuple(globs)
    return not patterns or (bool(name) and any(matches(pattern, name) for pattern in patterns))


def _waits(run: Run, step: StepRun) -> bool:
    """Whether a step waits for people."""
    if step.state is not StepState.WAITING or step.approved_by:
        return False
    environment = run.pipeline.step(step.key).environment
    return environment is not None and bool(environment.approve)
